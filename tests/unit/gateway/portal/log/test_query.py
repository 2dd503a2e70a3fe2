"""Searches of the log as query parameters."""

from cloudacademy.users.v1 import activity_pb2 as pb
from cloudacademy.users.v1.activity_pb2 import Activity

from gateway.portal.models.log.query import log_query


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
