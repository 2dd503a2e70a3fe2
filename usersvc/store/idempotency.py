"""The table of idempotent create requests (aip.dev/155).

A create inserts its row in the first statement of its transaction, so a concurrent repetition of
the request waits for the result.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from chassis.errors import Refusal
from usersvc.domain.errors import REQUEST_ID_REUSED
from usersvc.domain.idempotency import RETENTION, CreateRequest

BATCH_ROWS: Final = 1_000
"""The number of rows that one statement deletes."""
_BEFORE_ALL: Final = UUID(int=0)
"""Sorts before the id of every organization."""


class CreateRequestStore:
    """Deletes expired create requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete_expired(self) -> int:
        """Delete the expired requests. Returns the number deleted."""
        organization_id, deleted = _BEFORE_ALL, 0
        async with self._database.writer() as db:
            while organization_id := await db.fetchval(_NEXT_ORGANIZATION, organization_id):
                while count := await db.fetchval(
                    _DELETE_EXPIRED, organization_id, RETENTION, BATCH_ROWS
                ):
                    deleted += count
        return deleted


async def begin(db: asyncpg.Connection, request: CreateRequest, now: datetime) -> UUID | None:
    """Begin a create. Returns the id of the resource that the same request created before, or None.

    Refuses REQUEST_ID_REUSED if the request id belongs to a different request.
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

# The update changes nothing, but it waits for a concurrent create with the same request id.
_BEGIN: Final = """
    INSERT INTO create_requests AS existing (organization_id, request_id, digest, create_time)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT ON CONSTRAINT create_requests_pkey DO UPDATE SET digest = existing.digest
    RETURNING digest, resource_id
"""

_NEXT_ORGANIZATION: Final = """
    SELECT organization_id
      FROM create_requests
     WHERE organization_id > $1
     ORDER BY organization_id
     LIMIT 1
"""

_DELETE_EXPIRED: Final = """
    WITH deleted AS (
        DELETE FROM create_requests
         WHERE ctid = ANY(ARRAY(SELECT ctid
                                  FROM create_requests
                                 WHERE organization_id = $1
                                   AND create_time < now() - $2::interval
                                 LIMIT $3))
        RETURNING request_id
    )
    SELECT count(*) FROM deleted
"""
