"""Which user an identity provider knows by which object identifier, and who was deleted.

Each statement but the one that trims names the organization first. Whoever links or deletes a user
has it locked.
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

BATCH: Final = 1_000


class IdentityStore:
    """Forgets who was deleted long ago."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trim(self, now: datetime) -> int:
        """Forget some of what is old enough; how much it was."""
        async with self._database.connection() as db:
            trimmed: int = await db.fetchval(_TRIM, now - sessions.DELETED_KEPT, BATCH)
        return trimmed


async def locked_candidates(
    db: asyncpg.Connection, organization_id: UUID, identity: Identity
) -> tuple[Sequence[Candidate], Candidate | None]:
    """Whom the object identifier finds; only if nobody, whom the e-mail address finds."""
    rows = await db.fetch(_LOCK_HOLDERS, organization_id, identity.object_identifier)
    if rows:
        holders = [user_rows.user(row) for row in rows]
        return [await _candidate(db, holder) for holder in holders], None
    row = await db.fetchrow(_LOCK_NAMESAKE, organization_id, identity.email)
    return (), None if row is None else await _candidate(db, user_rows.user(row))


async def link(
    db: asyncpg.Connection, organization_id: UUID, object_identifier: str, user_id: UUID
) -> None:
    """Let an object identifier find a user, and no other one any longer.

    Refuses LINKED_MEANWHILE.
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
    """Remember a user who is about to be deleted, by some names and by the link."""
    await db.execute(_REMEMBER_DELETED, organization_id, user_id, names, now)


async def is_deleted(
    db: asyncpg.Connection, organization_id: UUID, identity: Identity, now: datetime
) -> bool:
    """Whether somebody was deleted, not too long ago, who would sign in like this."""
    found: bool = await db.fetchval(
        """
        SELECT EXISTS (SELECT
                         FROM deleted_identities
                        WHERE organization_id = $1
                          AND digest IN (identity_digest($1, $2), identity_digest($1, $3))
                          AND delete_time > $4)
        """,
        organization_id, identity.object_identifier, identity.email, now - sessions.DELETED_KEPT,
    )  # fmt: skip
    return found


async def _candidate(db: asyncpg.Connection, user: User) -> Candidate:
    """A locked user with what it is linked to: read now, as it may have changed before the lock."""
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

# More than one is refused, however many there are.
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

_LOCK_NAMESAKE: Final = f"""
    SELECT {COLUMNS}
      FROM users
     WHERE organization_id = $1 AND fold(user_name) = fold($2)
       FOR NO KEY UPDATE
"""  # noqa: S608

# In one order, so that of two deletions at once none waits for the other in a circle.
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

# Replicas that trim at the same time take different rows.
_TRIM: Final = """
    WITH trimmed AS (
        DELETE FROM deleted_identities
         WHERE ctid = ANY(ARRAY(SELECT ctid
                                  FROM deleted_identities
                                 WHERE delete_time <= $1
                                 ORDER BY delete_time
                                 LIMIT $2
                                   FOR UPDATE SKIP LOCKED))
        RETURNING true
    )
    SELECT count(*) FROM trimmed
"""
