"""Rows of both tables of the log, and the entries that they contain."""

from typing import Any, Final

from usersvc.domain.activities import (
    ACTION_OF_CHANGE,
    MAX_RETURNED_MEMBERS,
    Action,
    Activity,
    FieldChange,
    Reference,
    RefusedRequest,
)
from usersvc.domain.changes import ChangeType

Row = Any  # asyncpg is untyped

CHANGES: Final = f"""
    SELECT organization_id, number, create_time, type AS kind, resource_id, resource_name,
           request_id, key_id, client, fields, old_values, new_values, last_administrator_lost,
           user_ids[:{MAX_RETURNED_MEMBERS}] AS user_ids,
           group_ids[:{MAX_RETURNED_MEMBERS}] AS group_ids,
           cardinality(user_ids) + cardinality(group_ids) AS member_count,
           NULL AS method, NULL AS target, NULL AS body, NULL::integer AS status,
           NULL AS error_type, NULL AS detail, NULL AS reason, NULL AS client_address
      FROM changes
"""  # noqa: S608

REFUSALS: Final = """
    SELECT organization_id, number, create_time, action AS kind, resource_id, resource_name,
           request_id, key_id, client, '{}'::text[] AS fields, NULL::text[] AS old_values,
           NULL::text[] AS new_values, false AS last_administrator_lost,
           '{}'::uuid[] AS user_ids, '{}'::uuid[] AS group_ids, 0 AS member_count,
           method, target, body, status, error_type, detail, reason, client_address
      FROM refusals
"""


def activity(row: Row) -> Activity:
    """The entry in a row of CHANGES or REFUSALS."""
    refused = row["method"] is not None
    return Activity(
        organization_id=row["organization_id"],
        number=row["number"],
        time=row["create_time"],
        action=Action(row["kind"]) if refused else ACTION_OF_CHANGE[ChangeType(row["kind"])],
        resource_id=row["resource_id"],
        resource_name=row["resource_name"] or "",
        request_id=row["request_id"],
        key_id=row["key_id"],
        client=row["client"],
        fields=_fields(row),
        members=(
            *(Reference(each) for each in row["user_ids"]),
            *(Reference(each, is_group=True) for each in row["group_ids"]),
        )[:MAX_RETURNED_MEMBERS],
        member_count=row["member_count"],
        last_administrator_lost=row["last_administrator_lost"],
        refusal=_refusal(row) if refused else None,
    )


def _fields(row: Row) -> tuple[FieldChange, ...]:
    names = row["fields"]
    unknown = (None,) * len(names)
    return tuple(
        FieldChange(*each)
        for each in zip(
            names, row["old_values"] or unknown, row["new_values"] or unknown, strict=True
        )
    )


def _refusal(row: Row) -> RefusedRequest:
    return RefusedRequest(
        row["method"], row["target"], row["body"], row["status"], row["error_type"],
        row["detail"], row["reason"], row["client_address"],
    )  # fmt: skip
