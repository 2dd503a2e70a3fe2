"""Searches of the log as query parameters."""

import pytest
from cloudacademy.users.v1 import activity_pb2 as pb
from cloudacademy.users.v1.activity_pb2 import Activity

from gateway.portal.models.log.query import log_query, max_entries


def test_log_query_round_trips_through_the_query_string():
    query = log_query({"q": " ann&li ", "action": "create", "result": "failure", "page": "p"})
    request = query.request("o")
    assert (request.text, request.result, request.page_token) == (
        "ann&li",
        pb.ListActivitiesRequest.RESULT_REFUSED,
        "p",
    )
    assert set(request.actions) == {Activity.ACTION_CREATE_USER, Activity.ACTION_CREATE_GROUP}
    assert query.query_string == "?q=ann%26li&action=create&result=failure"
    assert query.page_query_string("x") == f"{query.query_string}&page=x"


def test_log_query_ignores_invalid_parameters():
    query = log_query({"action": "sing", "result": "maybe", "q": "x" * 500})
    assert (query.action, query.result, len(query.text)) == ("", "", 200)
    assert log_query({}).query_string == ""


def test_log_query_has_whole_days_in_utc():
    query = log_query({"from": "2026-11-01", "to": "2026-11-02"})
    request = query.request("o")
    assert request.start_time.ToJsonString() == "2026-11-01T00:00:00Z"
    assert request.end_time.ToJsonString() == "2026-11-03T00:00:00Z"
    assert query.query_string == "?from=2026-11-01&to=2026-11-02"
    assert query.is_filtered


@pytest.mark.parametrize("day", ["", "yesterday", "2026-02-30", "20261101", "2026-W45-1"])
def test_log_query_ignores_an_invalid_day(day: str):
    assert log_query({"from": day, "to": day}) == log_query({})


@pytest.mark.parametrize(
    ("limit", "entries"), [("3", 3), ("0", None), ("-1", None), ("x", None), ("9" * 30, None)]
)
def test_export_is_limited_by_a_positive_number_only(limit: str, entries: int | None):
    unlimited = max_entries({})
    assert max_entries({"limit": limit}) == (entries or unlimited)
