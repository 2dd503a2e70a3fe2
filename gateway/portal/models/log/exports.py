"""Export formats of the log: CSV for spreadsheets, NDJSON for programs."""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from cloudacademy.users.v1.activity_pb2 import Activity

from gateway.portal.models.log.advice import advice
from gateway.portal.models.log.sentences import action_label, sentence
from gateway.portal.models.times import iso, to_datetime

COLUMNS: Final = (
    "time",
    "what",
    "action",
    "result",
    "name",
    "id",
    "changes",
    "status",
    "scimType",
    "error",
    "what to do",
    "request id",
    "key id",
    "from",
)
# Characters that begin a formula in a spreadsheet (OWASP: CSV injection), even after spaces.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
# Some locales separate cells with semicolons or tabs. There, a formula can begin inside a value.
_INNER_FORMULA: Final = re.compile(r"([;\t\r\n] *)(?=[=+\-@＝＋－＠])")  # noqa: RUF001


def csv_head() -> str:
    """The header line, after the byte order mark by which Excel recognizes UTF-8."""
    return "\ufeff" + _line(COLUMNS)


def csv_line(activity: Activity) -> str:
    """One entry as a line of CSV."""
    document = as_document(activity)
    refusal = document.get("refusal", {})
    return _line(
        (
            document["time"],
            document["sentence"],
            document["action"],
            document["result"],
            document["name"],
            document["id"],
            "; ".join(
                f"{change['field']}: {change['old']} → {change['new']}"
                for change in document["changes"]
            ),
            str(refusal.get("status", "")),
            refusal.get("scimType", ""),
            refusal.get("detail", ""),
            refusal.get("advice", ""),
            document["requestId"],
            document["keyId"],
            refusal.get("address", ""),
        )
    )


def ndjson_line(activity: Activity) -> str:
    """One entry as a line of JSON."""
    return json.dumps(as_document(activity), ensure_ascii=False, separators=(",", ":")) + "\n"


def csv_end(text: str, address: str) -> str:
    """The last line of an incomplete CSV file: what is missing, and where the rest is."""
    return _line(("INCOMPLETE", f"{text} {address}", *[""] * (len(COLUMNS) - 2)))


def ndjson_end(text: str, address: str) -> str:
    """The last line of an incomplete NDJSON file, in the same meaning."""
    document = {"incomplete": True, "detail": text, "continue": address}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def as_document(activity: Activity) -> dict[str, Any]:
    """One entry, with the values that both formats contain."""
    document: dict[str, Any] = {
        "time": iso(to_datetime(activity.time)),
        "sentence": sentence(activity).text,
        "action": action_label(activity),
        "result": "Failure" if activity.refused else "Success",
        "name": activity.resource_name,
        "id": activity.resource_id,
        "changes": [
            {"field": change.field, "old": change.old_value, "new": change.new_value}
            for change in activity.fields
        ],
        "members": [{"id": each.id, "name": each.name} for each in activity.members],
        "memberCount": activity.member_count,
        "requestId": activity.request_id,
        "keyId": activity.key_id,
    }
    if activity.refused:
        refusal = activity.refusal
        document["refusal"] = {
            "method": refusal.method,
            "target": refusal.target,
            "status": refusal.status,
            "scimType": refusal.error_type,
            "detail": refusal.detail,
            "reason": refusal.reason,
            "advice": advice(refusal),
            "address": refusal.client_address,
        }
    return document


def escape_formulas(value: str) -> str:
    """Escape a value with an apostrophe wherever a spreadsheet would see a formula."""
    value = _INNER_FORMULA.sub(r"\1'", value)
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value


def _line(values: Iterable[str]) -> str:
    text = io.StringIO()
    cells: Sequence[str] = [escape_formulas(value) for value in values]
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return text.getvalue()
