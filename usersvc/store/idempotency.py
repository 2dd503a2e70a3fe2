"""The table of create requests that are safe to repeat (aip.dev/155).

The row is written in the transaction of the create, first of all: whoever
repeats the request meanwhile waits for how it ends.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from chassis.errors import Refusal
from usersvc.domain.errors import REQUEST_ID_REUSED
from usersvc.domain.idempotency import KEPT, CreateRequest

BATCH: Final = 1_000
"""How many are trimmed by one statement."""
_FIRST: Final = UUID(int=0)


class RequestStore:
    """Forgets what is old enough."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trim(self, now: datetime) -> int:
        """Forget the requests that are too old; tells how many they were."""
        organization_id, trimmed, before = _FIRST, 0, now - KEPT
        async with self._database.connection() as db:
            while organization_id := await db.fetchval(_NEXT_ORGANIZATION, organization_id):
                while count := await db.fetchval(_TRIM, organization_id, before, BATCH):
                    trimmed += count
        return trimmed


async def begin(db: asyncpg.Connection, request: CreateRequest, now: datetime) -> UUID | None:
    """The id of what the same request has made before; None to make it now.

    Refuses REQUEST_ID_REUSED.
    """
    digest, resource_id = await db.fetchrow(
        _BEGIN,
        request.organization_id, request.request_id, request.digest, now,
    )  # fmt: skip
    if digest != request.digest:
        raise Refusal(REQUEST_ID_REUSED, request.request_id)
    made: UUID | None = resource_id
    return made


async def end(db: asyncpg.Connection, request: CreateRequest, resource_id: UUID) -> None:
    """Keep what a request has made."""
    await db.execute(
        """
        UPDATE create_requests
           SET resource_id = $3
         WHERE organization_id = $1 AND request_id = $2
        """,
        request.organization_id, request.request_id, resource_id,
    )  # fmt: skip


# --- statements -------------------------------------------------------------------------

# The update changes nothing: it waits for the one who is just making it, and returns what is there.
_BEGIN: Final = """
    INSERT INTO create_requests AS known (organization_id, request_id, digest, create_time)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT ON CONSTRAINT create_requests_pkey DO UPDATE SET digest = known.digest
    RETURNING digest, resource_id
"""

_NEXT_ORGANIZATION: Final = """
    SELECT organization_id
      FROM create_requests
     WHERE organization_id > $1
     ORDER BY organization_id
     LIMIT 1
"""

_TRIM: Final = """
    WITH trimmed AS (
        DELETE FROM create_requests
         WHERE organization_id = $1
           AND request_id = ANY(ARRAY(SELECT request_id
                                        FROM create_requests
                                       WHERE organization_id = $1 AND create_time < $2
                                       LIMIT $3))
        RETURNING request_id
    )
    SELECT count(*) FROM trimmed
"""
