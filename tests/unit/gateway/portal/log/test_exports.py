"""CSV and NDJSON exports of the log."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from cloudacademy.users.v1.activity_pb2 import Activity, RefusedRequest

from chassis.rpc.timestamps import to_timestamp
from gateway.portal.models.csv_rows import escape_formulas
from gateway.portal.models.log.exports import (
    COLUMNS,
    csv_head,
    csv_line,
    ndjson_line,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def refused() -> Activity:
    return Activity(
        time=to_timestamp(NOW),
        action=Activity.ACTION_CREATE_USER,
        resource_name='=HYPERLINK("x"),\n"',
        client="Okta",
        refused=True,
        refusal=RefusedRequest(status=409, error_type="uniqueness", detail="Taken."),
    )


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\t1", "\r1", " =1", "＝1"])  # noqa: RUF001
def test_exported_formula_is_escaped(value: str):
    assert escape_formulas(value) == f"'{value}"


def test_exported_text_without_formula_is_unchanged():
    assert [escape_formulas(each) for each in ("", "ann=1", "a-b")] == ["", "ann=1", "a-b"]


@pytest.mark.parametrize("separator", [";", "; ", "\t", "\r", "\n  "])
@pytest.mark.parametrize("formula", ["=1", "+1", "-1", "@A1", "＝1", "＋1", "－1", "＠A1"])  # noqa: RUF001
def test_formula_after_a_cell_separator_is_escaped(separator: str, formula: str):
    assert escape_formulas(f"ann{separator}{formula}") == f"ann{separator}'{formula}"


def test_csv_line_is_one_record_with_all_columns():
    text = csv_head() + csv_line(refused())
    assert text.startswith("\ufeff")
    head, record = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    fields = dict(zip(head, record, strict=True))
    assert tuple(head) == COLUMNS
    assert fields["name"] == '\'=HYPERLINK("x"),\n"'
    assert (fields["result"], fields["status"], fields["error"]) == ("Failure", "409", "Taken.")
    assert fields["client"] == "Okta"
    assert "in Okta" in fields["what to do"]


def test_ndjson_line_is_one_line_with_unchanged_values():
    line = ndjson_line(refused())
    assert line.count("\n") == 1
    document = json.loads(line)
    assert document["name"] == '=HYPERLINK("x"),\n"'
    assert document["refusal"]["scimType"] == "uniqueness"
    assert document["client"] == "Okta"
