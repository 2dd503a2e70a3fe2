"""The table of idempotent create requests (aip.dev/155).

The row is the first statement of the create's transaction, so a concurrent repetition of the
request waits for the result.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from chassis.errors import Refusal
from usersvc.domain.errors import REQUEST_ID_REUSED
from usersvc.domain.idempotency import RETENTION, CreateRequest

BATCH: Final = 1_000
"""The number of rows that one statement deletes."""
_FIRST: Final = UUID(int=0)


class RequestStore:
    """Deletes expired create requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trim(self, now: datetime) -> int:
        """Delete the expired requests. Returns the number deleted."""
        organization_id, trimmed, before = _FIRST, 0, now - RETENTION
        async with self._database.connection() as db:
            while organization_id := await db.fetchval(_NEXT_ORGANIZATION, organization_id):
                while count := await db.fetchval(_TRIM, organization_id, before, BATCH):
                    trimmed += count
        return trimmed


async def begin(db: asyncpg.Connection, request: CreateRequest, now: datetime) -> UUID | None:
    """Begin a create. Returns the id that the same request created before, or None.

    Refuses REQUEST_ID_REUSED if a different request had the id.
    """
    digest, resource_id = await db.fetchrow(
        _BEGIN,
        request.organization_id, request.request_id, request.digest, now,
    )  # fmt: skip
    if digest != request.digest:
        raise Refusal(REQUEST_ID_REUSED, request.request_id)
    existing_id: UUID | None = resource_id
    return existing_id


async def end(db: asyncpg.Connection, request: CreateRequest, resource_id: UUID) -> None:
    """Store the id of the resource that a request created."""
    await db.execute(
        """
        UPDATE create_requests
           SET resource_id = $3
         WHERE organization_id = $1 AND request_id = $2
        """,
        request.organization_id, request.request_id, resource_id,
    )  # fmt: skip


# --- statements -------------------------------------------------------------------------

# The update changes nothing. It waits for a concurrent create with the same id.
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
         WHERE ctid = ANY(ARRAY(SELECT ctid
                                  FROM create_requests
                                 WHERE organization_id = $1 AND create_time < $2
                                 LIMIT $3))
        RETURNING request_id
    )
    SELECT count(*) FROM trimmed
"""
