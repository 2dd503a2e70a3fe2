"""The SQL that erases a person from the audit trail and from keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from keysvc.domain.audit import OPERATOR, without_operator_prefix

ERASED: Final = "erased"
"""The text that replaces a name. The trail still shows that somebody acted."""

Rows = Mapping[str, int]
"""Numbers of rows by table."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The rows that were erased, or would be by a dry run.

    `by_name` has the rows that each given name or id matches alone. `same_name` has the rows of
    other users with one of the names, by user id; these rows are unchanged.
    """

    erased: Rows
    by_name: Sequence[Rows]
    same_name: Mapping[str, Rows]


class ErasureStore:
    """Erases names and addresses of a person. Actions and their times stay."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(
        self, organization_id: UUID, names: Sequence[str], *, dry_run: bool = False
    ) -> Erasure:
        """Erase rows with one of the ids, or with one of the names and no user id. Repeatable.

        If a row has a user id, its name is not compared, because other users may have the same
        name. An id that is a UUID stays: it identifies nobody once the user is erased, but still
        shows that two actions have the same author.
        """
        async with self._database.transaction() as db:
            casefolded = await _casefold(db, names)
            by_name = [await _count(db, organization_id, [name]) for name in names]
            erased = await _count(db, organization_id, names)
            same_name = await db.fetch(_SAME_NAME, organization_id, casefolded)
            if not dry_run:
                await db.execute(_ERASE_EVENTS, organization_id, casefolded, ERASED)
                await db.execute(_ERASE_KEYS, organization_id, casefolded, ERASED)
                await db.execute("ANALYZE audit_events, api_key")
        return Erasure(erased, by_name, {row["id"]: _rows(row) for row in same_name})


def _spellings(names: Sequence[str]) -> list[str]:
    """The forms of the names in the trail: unchanged, and with and without the operator prefix."""
    plain = [without_operator_prefix(name) for name in names]
    return [*names, *plain, *(f"{OPERATOR} {name}" for name in plain)]


async def _casefold(db: asyncpg.Connection, names: Sequence[str]) -> Sequence[str]:
    """Case-fold all spellings in SQL: Python folds some letters differently."""
    casefolded: Sequence[str] = await db.fetchval(_CASEFOLD, _spellings(names))
    return casefolded


async def _count(db: asyncpg.Connection, organization_id: UUID, names: Sequence[str]) -> Rows:
    casefolded = await _casefold(db, names)
    return _rows(await db.fetchrow(_COUNTS, organization_id, casefolded, ERASED))


def _rows(row: asyncpg.Record) -> Rows:
    return {"audit_events": row["audit_events"], "api_key": row["api_key"]}


# --- statements -------------------------------------------------------------------------

_IS_UUID: Final = "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"


def _casefolded_sql(text: str) -> str:
    """SQL that case-folds a text; all forms of sigma are equal (as in usersvc)."""
    return f"casefold({text} COLLATE pg_c_utf8)"


_CASEFOLD: Final = (
    f"SELECT array_agg(DISTINCT {_casefolded_sql('name')}) FROM unnest($1::text[]) AS name"  # noqa: S608
)


def _is_of_person(actor: str, name: str) -> str:
    """SQL condition: an id and its name belong to the person."""
    return f"""
        ({_casefolded_sql(actor)} = ANY($2)
         OR {_casefolded_sql(name)} = ANY($2) AND {_casefolded_sql(actor)} !~ {_IS_UUID})
    """


def _must_be_erased(column: str) -> str:
    """SQL condition: an id or a name has to be erased."""
    return f"({_casefolded_sql(column)} = ANY($2) AND {_casefolded_sql(column)} !~ {_IS_UUID})"


def _erased_value(column: str) -> str:
    """SQL value: an id or a name, or its replacement."""
    return f"CASE WHEN {_must_be_erased(column)} THEN $3 ELSE {column} END"


# An earlier run may have erased a name and left the id; then only the id is erased.
_EVENTS_OF_PERSON: Final = f"""
        organization_id = $1 AND {_is_of_person("actor_id", "actor_display_name")}
        AND (actor_display_name <> $3 OR actor_address <> '' OR {_must_be_erased("actor_id")})
"""

_KEYS_OF_PERSON: Final = f"""
        organization_id = $1
        AND ({_is_of_person("created_by", "created_by_name")}
             AND (created_by_name <> $3 OR {_must_be_erased("created_by")})
             OR {_is_of_person("revoked_by", "revoked_by_name")}
             AND (revoked_by_name <> $3 OR {_must_be_erased("revoked_by")}))
"""

_COUNTS: Final = f"""
    SELECT (SELECT count(*) FROM audit_events WHERE {_EVENTS_OF_PERSON}) AS audit_events,
           (SELECT count(*) FROM api_key WHERE {_KEYS_OF_PERSON}) AS api_key
"""  # noqa: S608

_ERASE_EVENTS: Final = f"""
    UPDATE audit_events
       SET actor_id = {_erased_value("actor_id")}, actor_display_name = $3, actor_address = ''
     WHERE {_EVENTS_OF_PERSON}
"""  # noqa: S608

_ERASE_KEYS: Final = f"""
    UPDATE api_key
       SET created_by = {_erased_value("created_by")}, revoked_by = {_erased_value("revoked_by")},
           created_by_name = CASE WHEN {_is_of_person("created_by", "created_by_name")} THEN $3
                                  ELSE created_by_name END,
           revoked_by_name = CASE WHEN {_is_of_person("revoked_by", "revoked_by_name")} THEN $3
                                  ELSE revoked_by_name END
     WHERE {_KEYS_OF_PERSON}
"""  # noqa: S608

_SAME_NAME: Final = f"""
    SELECT id, count(event_id) AS audit_events, count(DISTINCT key_id) AS api_key
      FROM (SELECT {_casefolded_sql("actor_id")}, actor_display_name, event_id, NULL::uuid
              FROM audit_events WHERE organization_id = $1
            UNION ALL
            SELECT {_casefolded_sql("created_by")}, created_by_name, NULL, key_id
              FROM api_key WHERE organization_id = $1
            UNION ALL
            SELECT {_casefolded_sql("revoked_by")}, revoked_by_name, NULL, key_id
              FROM api_key WHERE organization_id = $1) AS entry (id, name, event_id, key_id)
     WHERE id ~ {_IS_UUID} AND id <> ALL($2) AND {_casefolded_sql("name")} = ANY($2)
     GROUP BY id
     ORDER BY id
"""  # noqa: S608
