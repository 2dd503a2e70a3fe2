"""The SQL that erases a person from the audit trail and from keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from keysvc.domain.audit import OPERATOR, name_of

ERASED: Final = "erased"
"""What stands in a name's place: that somebody acted is still told."""

Rows = Mapping[str, int]
"""How many rows, by their table."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased, or would be.

    `by_name` has for each name or id that was given what it alone finds. `same_name` has users, by
    id, who have one of the names as well: nothing of theirs was touched.
    """

    erased: Rows
    by_name: Sequence[Rows]
    same_name: Mapping[str, Rows]


class ErasureStore:
    """Takes a person's names and addresses out; what was done, and when, stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(
        self, organization_id: UUID, names: Sequence[str], *, dry_run: bool = False
    ) -> Erasure:
        """Erase whoever has one of the ids, or one of the names and no user's id.

        A user's id says who acted: its name may be another's, too, and is never looked at for
        itself. An id that is a UUID stays: once the user is erased it leads to nobody, and it tells
        that two actions were one person's. Can be repeated.
        """
        async with self._database.transaction() as db:
            known = await _folded(db, names)
            by_name = [await _count(db, organization_id, [name]) for name in names]
            erased = await _count(db, organization_id, names)
            others = await db.fetch(_SAME_NAME, organization_id, known)
            if not dry_run:
                await db.execute(_EVENTS, organization_id, known, ERASED)
                await db.execute(_KEYS, organization_id, known, ERASED)
                await db.execute("ANALYZE audit_events, api_key")
        return Erasure(erased, by_name, {row["id"]: _rows(row) for row in others})


def _spellings(names: Sequence[str]) -> list[str]:
    """How a trail may have the names: as they are, or as those of operators."""
    told = [name_of(name) for name in names]
    return [*names, *told, *(f"{OPERATOR} {name}" for name in told)]


async def _folded(db: asyncpg.Connection, names: Sequence[str]) -> Sequence[str]:
    """All spellings as the statements compare them: Python would fold some letters otherwise."""
    folded: Sequence[str] = await db.fetchval(_FOLDED, _spellings(names))
    return folded


async def _count(db: asyncpg.Connection, organization_id: UUID, names: Sequence[str]) -> Rows:
    known = await _folded(db, names)
    return _rows(await db.fetchrow(_COUNTS, organization_id, known, ERASED))


def _rows(row: asyncpg.Record) -> Rows:
    return {"audit_events": row["audit_events"], "api_key": row["api_key"]}


# --- statements -------------------------------------------------------------------------

_IS_UUID: Final = "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"


def _fold(text: str) -> str:
    """Without regard to case; every sigma alike, wherever it stands (as usersvc's fold)."""
    return f"casefold({text} COLLATE pg_c_utf8)"


_FOLDED: Final = f"SELECT array_agg(DISTINCT {_fold('name')}) FROM unnest($1::text[]) AS name"  # noqa: S608


def _theirs(actor: str, name: str) -> str:
    """Whether an id and the name beside it are the person's."""
    return f"""
        ({_fold(actor)} = ANY($2)
         OR {_fold(name)} = ANY($2) AND {_fold(actor)} !~ {_IS_UUID})
    """


def _goes(column: str) -> str:
    """Whether an id or a name must not stay."""
    return f"({_fold(column)} = ANY($2) AND {_fold(column)} !~ {_IS_UUID})"


def _without(column: str) -> str:
    """An id or a name, or what stands in its place."""
    return f"CASE WHEN {_goes(column)} THEN $3 ELSE {column} END"


# A name may have gone before, and the id been left: then the id alone is to go.
_THEIR_EVENTS: Final = f"""
        organization_id = $1 AND {_theirs("actor_id", "actor_display_name")}
        AND (actor_display_name <> $3 OR actor_address <> '' OR {_goes("actor_id")})
"""

_THEIR_KEYS: Final = f"""
        organization_id = $1
        AND ({_theirs("created_by", "created_by_name")}
             AND (created_by_name <> $3 OR {_goes("created_by")})
             OR {_theirs("revoked_by", "revoked_by_name")}
             AND (revoked_by_name <> $3 OR {_goes("revoked_by")}))
"""

_COUNTS: Final = f"""
    SELECT (SELECT count(*) FROM audit_events WHERE {_THEIR_EVENTS}) AS audit_events,
           (SELECT count(*) FROM api_key WHERE {_THEIR_KEYS}) AS api_key
"""  # noqa: S608

_EVENTS: Final = f"""
    UPDATE audit_events
       SET actor_id = {_without("actor_id")}, actor_display_name = $3, actor_address = ''
     WHERE {_THEIR_EVENTS}
"""  # noqa: S608

_KEYS: Final = f"""
    UPDATE api_key
       SET created_by = {_without("created_by")}, revoked_by = {_without("revoked_by")},
           created_by_name = CASE WHEN {_theirs("created_by", "created_by_name")} THEN $3
                                  ELSE created_by_name END,
           revoked_by_name = CASE WHEN {_theirs("revoked_by", "revoked_by_name")} THEN $3
                                  ELSE revoked_by_name END
     WHERE {_THEIR_KEYS}
"""  # noqa: S608

_SAME_NAME: Final = f"""
    SELECT id, count(event_id) AS audit_events, count(DISTINCT key_id) AS api_key
      FROM (SELECT {_fold("actor_id")}, actor_display_name, event_id, NULL::uuid
              FROM audit_events WHERE organization_id = $1
            UNION ALL
            SELECT {_fold("created_by")}, created_by_name, NULL, key_id
              FROM api_key WHERE organization_id = $1
            UNION ALL
            SELECT {_fold("revoked_by")}, revoked_by_name, NULL, key_id
              FROM api_key WHERE organization_id = $1) AS told (id, name, event_id, key_id)
     WHERE id ~ {_IS_UUID} AND id <> ALL($2) AND {_fold("name")} = ANY($2)
     GROUP BY id
     ORDER BY id
"""  # noqa: S608
