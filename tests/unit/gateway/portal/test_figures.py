"""Charts as geometry, cycles, exports, searches, and the form of single sign-on."""

import base64
import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from cloudacademy.keys.v1.sso_pb2 import SsoConnection
from cloudacademy.users.v1 import activity_pb2 as pb
from cloudacademy.users.v1.activity_pb2 import Activity, ActivityCount, Cycle, RefusedRequest
from hypothesis import given
from hypothesis import strategies as st

from gateway.portal.models import charts
from gateway.portal.models.log.cycles import cycle_rows, running
from gateway.portal.models.log.exports import COLUMNS, csv_head, csv_line, harmless, ndjson_line
from gateway.portal.models.log.query import log_query
from gateway.portal.models.notices import notice
from gateway.portal.models.sso_form import of_connection, of_fields, split_certificates, thumbprints
from gateway.portal.models.times import to_timestamp

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def counts(*numbers: tuple[int, int]) -> list[ActivityCount]:
    return [
        ActivityCount(
            start_time=to_timestamp(NOW - timedelta(hours=len(numbers) - 1 - index)),
            succeeded=succeeded,
            refused=refused,
        )
        for index, (succeeded, refused) in enumerate(numbers)
    ]


def test_what_was_too_much_to_count_has_no_bars_and_says_so():
    chart = charts.days_chart(None)
    assert (chart.bars, chart.is_empty) == ((), True)
    assert chart.summary == "The log has too many entries to count them just now."


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=31))
def test_every_bar_is_inside_its_chart_and_what_happened_is_seen(numbers: list[tuple[int, int]]):
    chart = charts.hours_chart(counts(*numbers))
    assert len(chart.bars) == len(numbers)
    for bar, (succeeded, refused) in zip(chart.bars, numbers, strict=True):
        assert 0 <= bar.x <= bar.x + bar.width <= chart.width + 0.01
        assert -0.01 <= bar.up_y <= chart.baseline
        assert bar.up_y + bar.up_height == pytest.approx(chart.baseline, abs=0.02)
        assert bar.down_y + bar.down_height <= chart.depth + 1.02
        assert (bar.up_height > 0, bar.down_height > 0) == (succeeded > 0, refused > 0)


def test_up_and_down_have_one_scale():
    (bar,) = charts.hours_chart(counts((20, 10))).bars
    assert bar.up_height == pytest.approx(2 * bar.down_height)


def test_a_chart_says_in_words_what_it_shows():
    assert charts.hours_chart(counts((0, 0))).summary == "Nothing was changed or refused."
    told = charts.hours_chart(counts((1, 0), (1200, 3))).summary
    assert told == "1,201 changes, 3 refused. Most at 12:00 UTC: 1,203."
    assert charts.days_chart(counts((1, 0))).summary == "1 change, 0 refused. Most on 1 Mar: 1."


def cycle(start: int, end: int, succeeded: int, refused: int = 0) -> Cycle:
    return Cycle(
        start_time=to_timestamp(NOW - timedelta(seconds=start)),
        end_time=to_timestamp(NOW - timedelta(seconds=end)),
        succeeded=succeeded,
        refused=refused,
    )


def test_the_newest_cycle_runs_while_its_last_entry_is_young():
    rows = cycle_rows([cycle(600, 119, 70, 2), cycle(9000, 8000, 5)], NOW)
    assert [row.is_running for row in rows] == [True, False]
    assert running(rows) is rows[0]
    assert (rows[0].summary, rows[0].rate) == ("70 changes, 2 refused", "9 a minute")
    assert running(cycle_rows([cycle(600, 120, 70)], NOW)) is None
    assert running([]) is None


def test_the_rate_of_a_fast_cycle_is_told_by_the_second():
    assert cycle_rows([cycle(10, 0, 500)], NOW)[0].rate == "50 a second"
    assert cycle_rows([cycle(0, 0, 1)], NOW)[0].rate == ""


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\t1", "\r1", " =1", "＝1"])  # noqa: RUF001
def test_no_exported_value_is_a_formula(value: str):
    assert harmless(value) == f"'{value}"


def test_what_is_no_formula_is_exported_as_it_is():
    assert [harmless(each) for each in ("", "ann=1", "a-b")] == ["", "ann=1", "a-b"]


@pytest.mark.parametrize("separator", [";", "; ", "\t", "\r", "\n  "])
@pytest.mark.parametrize("formula", ["=1", "+1", "-1", "@A1", "＝1", "＋1", "－1", "＠A1"])  # noqa: RUF001
def test_nor_is_there_one_where_semicolons_or_tabs_part_cells(separator: str, formula: str):
    assert harmless(f"ann{separator}{formula}") == f"ann{separator}'{formula}"


def refused() -> Activity:
    return Activity(
        time=to_timestamp(NOW),
        action=Activity.ACTION_CREATE_USER,
        resource_name='=HYPERLINK("x"),\n"',
        refused=True,
        refusal=RefusedRequest(status=409, error_type="uniqueness", detail="Taken."),
    )


def test_a_line_of_csv_is_one_record_with_all_columns():
    text = csv_head() + csv_line(refused())
    assert text.startswith("\ufeff")
    head, record = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    told = dict(zip(head, record, strict=True))
    assert tuple(head) == COLUMNS
    assert told["name"] == '\'=HYPERLINK("x"),\n"'
    assert (told["result"], told["status"], told["error"]) == ("Failure", "409", "Taken.")


def test_a_line_of_ndjson_is_one_line_and_keeps_values_as_they_are():
    line = ndjson_line(refused())
    assert line.count("\n") == 1
    document = json.loads(line)
    assert document["name"] == '=HYPERLINK("x"),\n"'
    assert document["refusal"]["scimType"] == "uniqueness"


def test_a_search_is_read_from_its_address_and_written_back():
    query = log_query({"q": " ann&li ", "action": "create", "result": "failure", "page": "p"})
    request = query.request("o")
    assert (request.text, request.result, request.page_token) == (
        "ann&li",
        pb.ListActivitiesRequest.RESULT_REFUSED,
        "p",
    )
    assert set(request.actions) == {Activity.ACTION_CREATE_USER, Activity.ACTION_CREATE_GROUP}
    assert query.address == "?q=ann%26li&action=create&result=failure"
    assert query.page_address("x") == f"{query.address}&page=x"


def test_what_an_address_has_wrong_counts_as_not_given():
    query = log_query({"action": "sing", "result": "maybe", "q": "x" * 500})
    assert (query.action, query.result, len(query.text)) == ("", "", 200)
    assert log_query({}).address == ""


def test_only_words_of_ours_become_notices():
    assert notice({"done": "revoked"})
    assert notice({"done": "Your key is here: evil.test"}) == ""


DER = base64.b64encode(bytes(range(256))).decode()
PEM = f"-----BEGIN CERTIFICATE-----\n{DER}\n-----END CERTIFICATE-----"


def test_certificates_are_taken_as_pem_one_after_the_other_or_as_base64_alone():
    assert len(split_certificates(f"{PEM}\r\n\r\n{PEM}")) == 2
    assert split_certificates(DER) == split_certificates(PEM)
    assert max(len(line) for line in split_certificates(DER)[0].splitlines()) == 64
    assert split_certificates("") == []
    assert split_certificates("no certificate!") == ["no certificate!"]  # for the service to refuse
    assert thumbprints(split_certificates(PEM)) == ["4916D6BDB7F78E6803698CAB32D1586EA457DFC8"]


@pytest.mark.parametrize(
    "text",
    [
        PEM.replace("-----BEGIN", f"-----BEGIN CERTIFICATE-----{' ' * 9}!-----BEGIN"),
        f"subject=CN=a\n{PEM}\n-----BEGIN CERTIFICATE-----",
        f"{PEM}-----BEGIN CERTIFICATE----- -----END CERTIFICATE-----",
        f"-----END CERTIFICATE-----{PEM}-----BEGIN PUBLIC KEY-----AA==-----END PUBLIC KEY-----",
    ],
)
def test_certificate_is_found_in_whatever_stands_around_it(text: str):
    assert split_certificates(text) == split_certificates(PEM)


@pytest.mark.parametrize("text", [PEM[:-1], PEM.replace("A", "!"), PEM[1:]])
def test_text_without_a_whole_certificate_stays_one_text(text: str):
    assert split_certificates(text) == [text]
    assert thumbprints([text]) == []


def test_the_form_of_a_connection_says_the_connection():
    connection = SsoConnection(
        sso_url="https://idp.test/", idp_entity_id="i", domains=["a.test", "b.test"]
    )
    assert of_connection(connection).connection() == connection
    sent = of_fields({"domains": "@A.test; b.test\n", "create_missing_users": "on"}).connection()
    assert (list(sent.domains), sent.create_missing_users) == (["a.test", "b.test"], True)
