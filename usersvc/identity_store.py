"""Which user an identity provider knows by which object identifier.

Each statement names the organization first. Whoever links a user has it locked.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from usersvc import user_rows
from usersvc.errors import SignInConflict
from usersvc.sessions import Candidate, Identity
from usersvc.user_rows import COLUMNS
from usersvc.users import User


class LinkedMeanwhile(SignInConflict):
    """Somebody else was linked to the object identifier at this moment: look again."""


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

    Refuses LinkedMeanwhile.
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
        raise LinkedMeanwhile from error


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
