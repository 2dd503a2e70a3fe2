"""The SQL that erases a person from the audit trail and from keys."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from chassis.database import Database
from keysvc.audit import OPERATOR

ERASED: Final = "erased"
"""What stands in a name's place: that somebody acted is still told."""


class ErasureStore:
    """Takes a person's names and addresses out; what was done, and when, stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase(self, organization_id: UUID, names: Sequence[str]) -> Mapping[str, int]:
        """Erase whoever has one of the names or ids; how many rows it was, by their table.

        An id that is a UUID stays: once the user is erased it leads to nobody, and it tells that
        two actions were one person's. Can be repeated.
        """
        known = [name.lower() for name in names]
        known += [f"{OPERATOR} {name}" for name in known]
        async with self._database.transaction() as db:
            events = await db.fetch(_EVENTS, organization_id, known, ERASED)
            keys = await db.fetch(_KEYS, organization_id, known, ERASED)
            await db.execute("ANALYZE audit_events, api_key")
        return {"audit_events": len(events), "api_key": len(keys)}


# --- statements -------------------------------------------------------------------------

_IS_UUID: Final = "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"


def _without(column: str) -> str:
    """An id or a name, or what stands in its place."""
    return f"""
        CASE WHEN lower({column}) = ANY($2) AND lower({column}) !~ {_IS_UUID} THEN $3
             ELSE {column} END
    """


_EVENTS: Final = f"""
    UPDATE audit_events
       SET actor_id = {_without("actor_id")}, actor_display_name = $3, actor_address = ''
     WHERE organization_id = $1
       AND (lower(actor_id) = ANY($2) OR lower(actor_display_name) = ANY($2))
       AND (actor_display_name <> $3 OR actor_address <> '')
    RETURNING event_id
"""  # noqa: S608

_KEYS: Final = f"""
    UPDATE api_key
       SET created_by = {_without("created_by")}, revoked_by = {_without("revoked_by")},
           created_by_name = CASE WHEN lower(created_by) = ANY($2)
                                    OR lower(created_by_name) = ANY($2) THEN $3
                                  ELSE created_by_name END,
           revoked_by_name = CASE WHEN lower(revoked_by) = ANY($2)
                                    OR lower(revoked_by_name) = ANY($2) THEN $3
                                  ELSE revoked_by_name END
     WHERE organization_id = $1
       AND (lower(created_by) = ANY($2) AND created_by_name <> $3
            OR lower(revoked_by) = ANY($2) AND revoked_by_name <> $3
            OR lower(created_by_name) = ANY($2) OR lower(revoked_by_name) = ANY($2))
    RETURNING key_id
"""  # noqa: S608
