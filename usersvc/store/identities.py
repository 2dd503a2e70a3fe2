"""The tables of linked identities (object identifier to user) and of deleted identities.

Each statement except `delete_expired` is limited to one organization. Callers that link or delete a
user must hold the lock of the user.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database.pool import Database
from chassis.errors import Refusal
from usersvc.domain import sessions
from usersvc.domain.errors import LINKED_MEANWHILE
from usersvc.domain.sessions import Candidate, Identity
from usersvc.domain.users import User
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import COLUMNS

BATCH_ROWS: Final = 1_000


class DeletedIdentityStore:
    """Deletes expired rows of deleted identities."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete_expired(self) -> int:
        """Delete a batch of expired rows. Returns the number deleted."""
        async with self._database.writer() as db:
            deleted: int = await db.fetchval(
                _DELETE_EXPIRED, sessions.DELETED_IDENTITY_RETENTION, BATCH_ROWS
            )
        return deleted


async def lock_candidates(
    db: asyncpg.Connection, organization_id: UUID, identity: Identity
) -> tuple[Sequence[Candidate], Candidate | None]:
    """Lock and return the users that match by object identifier, else by e-mail address."""
    rows = await db.fetch(_LOCK_HOLDERS, organization_id, identity.object_identifier)
    if rows:
        holders = [user_rows.user(row) for row in rows]
        return [await _candidate(db, holder) for holder in holders], None
    row = await db.fetchrow(_LOCK_SAME_NAME, organization_id, identity.email)
    return (), None if row is None else await _candidate(db, user_rows.user(row))


async def link(
    db: asyncpg.Connection, organization_id: UUID, object_identifier: str, user_id: UUID
) -> None:
    """Link a user to an object identifier, in place of any earlier link of the user.

    Refuses LINKED_MEANWHILE if another user has the object identifier.
    """
    try:
        await db.execute(
            """
            INSERT INTO linked_identities (organization_id, object_identifier, user_id)
            VALUES ($1, $2, $3)
            ON CONFLICT ON CONSTRAINT linked_identities_user_key
               DO UPDATE SET object_identifier = excluded.object_identifier
            """,
            organization_id, object_identifier, user_id,
        )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        raise Refusal(LINKED_MEANWHILE) from error


async def remember_deleted(
    db: asyncpg.Connection,
    organization_id: UUID,
    user_id: UUID,
    names: Sequence[str],
    now: datetime,
) -> None:
    """Store the digests of a user's names and link, so that no sign-in creates the user again.

    Call it before the user is deleted.
    """
    await db.execute(_REMEMBER_DELETED, organization_id, user_id, names, now)


async def is_deleted(
    db: asyncpg.Connection, organization_id: UUID, identity: Identity, now: datetime
) -> bool:
    """Whether a user with this identity was deleted within the retention period."""
    found: bool = await db.fetchval(
        """
        SELECT EXISTS (SELECT
                         FROM deleted_identities
                        WHERE organization_id = $1
                          AND digest IN (identity_digest($1, $2), identity_digest($1, $3))
                          AND delete_time > $4)
        """,
        organization_id, identity.object_identifier, identity.email,
        now - sessions.DELETED_IDENTITY_RETENTION,
    )  # fmt: skip
    return found


async def _candidate(db: asyncpg.Connection, user: User) -> Candidate:
    """A locked user and its link, which is read after locking because it could change before."""
    linked_to = await db.fetchval(
        """
        SELECT object_identifier
          FROM linked_identities
         WHERE organization_id = $1 AND user_id = $2
        """,
        user.organization_id, user.user_id,
    )  # fmt: skip
    return Candidate(user, linked_to or "")


# --- statements -------------------------------------------------------------------------

# Two rows suffice, because more than one match is refused.
_LOCK_HOLDERS: Final = f"""
    SELECT {COLUMNS}
      FROM users
     WHERE organization_id = $1
       AND (external_id = $2
            OR user_id = (SELECT user_id
                            FROM linked_identities
                           WHERE organization_id = $1 AND object_identifier = $2))
     ORDER BY user_id
     LIMIT 2
       FOR NO KEY UPDATE
"""  # noqa: S608

_LOCK_SAME_NAME: Final = f"""
    SELECT {COLUMNS}
      FROM users
     WHERE organization_id = $1 AND fold(user_name) = fold($2)
       FOR NO KEY UPDATE
"""  # noqa: S608

# Sorted, so that concurrent deletions lock rows in the same order and cannot deadlock.
_REMEMBER_DELETED: Final = """
    INSERT INTO deleted_identities (organization_id, digest, delete_time)
    SELECT DISTINCT $1::uuid, identity_digest($1, identity), $4::timestamptz
      FROM (SELECT unnest($3::text[])
             UNION ALL
            SELECT object_identifier
              FROM linked_identities
             WHERE organization_id = $1 AND user_id = $2) AS known (identity)
     ORDER BY 2
    ON CONFLICT ON CONSTRAINT deleted_identities_pkey
       DO UPDATE SET delete_time = excluded.delete_time
"""

# SKIP LOCKED: replicas that run this at the same time delete different rows.
_DELETE_EXPIRED: Final = """
    WITH deleted AS (
        DELETE FROM deleted_identities
         WHERE ctid = ANY(ARRAY(SELECT ctid
                                  FROM deleted_identities
                                 WHERE delete_time <= now() - $1::interval
                                 ORDER BY delete_time
                                 LIMIT $2
                                   FOR UPDATE SKIP LOCKED))
        RETURNING true
    )
    SELECT count(*) FROM deleted
"""
