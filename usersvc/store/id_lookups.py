"""Lookups of several rows by id, as SQL: of one organization, or of several.

A prepared statement is planned once, for an organization of average size. From
`user_id = ANY($2)` PostgreSQL then expects about as many ids as the organization has users, and it
reads a whole index of the organization instead of looking up each id.
"""

from collections.abc import Sequence
from typing import Final, TypeVar
from uuid import UUID

Value = TypeVar("Value")

PAIRS: Final = "unnest($1::uuid[], $2::uuid[])"
"""A FROM item that yields an organization and an id in each row."""


def look_up(
    columns: str, table: str, id_column: str, ids: str = "unnest($2::uuid[])", lock: str = ""
) -> str:
    """A SELECT of the rows whose ids the FROM item `ids` yields; `$1` is the organization.

    Each id is looked up once, whatever the planner expects: OFFSET 0 keeps the inner SELECT apart
    from the outer one. The rows are read, and with `lock` locked, in the order of their ids.
    """
    return f"""
        SELECT found.*
          FROM (SELECT DISTINCT id FROM {ids} AS given (id) ORDER BY id) AS wanted
         CROSS JOIN LATERAL (SELECT {columns}
                               FROM {table}
                              WHERE organization_id = $1 AND {id_column} = wanted.id
                             OFFSET 0
                                {lock}) AS found
    """  # noqa: S608


def look_up_across(columns: str, table: str, id_column: str, pairs: str = PAIRS) -> str:
    """A SELECT of the rows whose organizations and ids the FROM item `pairs` yields.

    The pairs are distinct. Each is looked up once, as by `look_up`, in the index that begins with
    the organization. The columns include `organization_id`, by which callers keep apart the rows of
    different organizations. `columns` may use `wanted.organization_id`.
    """
    return f"""
        SELECT found.*
          FROM {pairs} AS wanted (organization_id, id)
         CROSS JOIN LATERAL (SELECT {columns}
                               FROM {table}
                              WHERE organization_id = wanted.organization_id
                                AND {id_column} = wanted.id
                             OFFSET 0) AS found
    """  # noqa: S608


def columns_of(pairs: Sequence[tuple[UUID, Value]]) -> tuple[list[UUID], list[Value]]:
    """The organizations, and the other values: the two arrays that a statement takes."""
    return [each for each, _ in pairs], [value for _, value in pairs]
