"""Export formats of the log: CSV for spreadsheets, NDJSON for programs."""

import json
from typing import Any, Final

from cloudacademy.users.v1.activity_pb2 import Activity

from gateway.portal.models.csv_rows import BYTE_ORDER_MARK, csv_row
from gateway.portal.models.log.advice import advice
from gateway.portal.models.log.sentences import action_label, sentence
from gateway.portal.models.providers import ENTRA, of_client
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
    "client",
)


def csv_head() -> str:
    """The header line, after the byte order mark by which Excel recognizes UTF-8."""
    return BYTE_ORDER_MARK + csv_row(COLUMNS)


def csv_line(activity: Activity) -> str:
    """One entry as a line of CSV."""
    document = as_document(activity)
    refusal = document.get("refusal", {})
    return csv_row(
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
            document["client"],
        )
    )


def ndjson_line(activity: Activity) -> str:
    """One entry as a line of JSON."""
    return json.dumps(as_document(activity), ensure_ascii=False, separators=(",", ":")) + "\n"


def csv_end(text: str, address: str) -> str:
    """The last line of an incomplete CSV file: what is missing, and where the rest is."""
    return csv_row(("INCOMPLETE", f"{text} {address}", *[""] * (len(COLUMNS) - 2)))


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
        "client": activity.client,
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
            "advice": advice(refusal, of_client(activity.client) or ENTRA),
            "address": refusal.client_address,
        }
    return document
