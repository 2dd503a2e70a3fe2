"""Deletion of a user, with the personal data in the log and the memberships of groups."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.errors import ETAG_MISMATCH, Refusal
from usersvc.domain import sessions
from usersvc.domain.changes import Origin
from usersvc.domain.errors import USER_NOT_FOUND
from usersvc.store import identities
from usersvc.store.id_lookups import look_up
from usersvc.store.users.writes import LAST_ADMINISTRATOR


async def delete(
    db: asyncpg.Connection,
    organization_id: UUID,
    user_id: UUID,
    version: int | None,
    *,
    now: datetime,
    origin: Origin,
) -> None:
    """Remove a user, in the caller's transaction. Refuses as `UserStore.delete` does.

    The caller notifies the notifier after the commit.
    """
    # From here on, no transaction can add the user to a group.
    row = await db.fetchrow(_LOCK_TO_DELETE, organization_id, user_id)
    if row is None:
        raise Refusal(USER_NOT_FOUND, user_id)
    if version not in (None, row["version"]):
        raise Refusal(ETAG_MISMATCH, str(row["version"]))
    arguments = (organization_id, user_id, now, origin.request_id, origin.key_id, origin.client)
    await _erase_refusals(db, organization_id, user_id)
    await db.execute(_ERASE_LOG, organization_id, user_id)
    names = sessions.identifiers_of_deleted(row["user_name"], row["external_id"] or "")
    await identities.remember_deleted(db, organization_id, user_id, names, now)
    await db.execute(_LEAVE_GROUPS, *arguments)
    await db.execute(_DELETE, *arguments, row["administrator"])


async def _erase_refusals(db: asyncpg.Connection, organization_id: UUID, user_id: UUID) -> None:
    """Erase the personal data in the refused requests about a user. Most users have none."""
    found = await db.fetch(_REFUSALS_ABOUT, organization_id, user_id)
    if found:
        numbers = [(organization_id, row["number"]) for row in found]
        await db.executemany(_ERASE_REFUSAL, numbers)


# --- statements -------------------------------------------------------------------------

_LOCK_TO_DELETE: Final = """
    SELECT version, user_name, external_id,
           coalesce(active AND has_role(roles, 'Administrator'), false) AS administrator
      FROM users
     WHERE organization_id = $1 AND user_id = $2
       FOR UPDATE
"""

# Erases the personal data in the changes of this user.
_ERASE_LOG: Final = """
    UPDATE changes
       SET resource_name = NULL, old_values = NULL, new_values = NULL
     WHERE organization_id = $1 AND resource_id = $2
"""

# Matches by the id and by every name and address of the person, current or former. OFFSET 0 makes
# the planner use the index of `mentions`; otherwise it reads all refusals of the organization. The
# index has the default collation, and names have another one.
_REFUSALS_ABOUT: Final = """
    SELECT number
      FROM refusals
     WHERE organization_id = $1 AND resource_id = $2
     UNION
    SELECT number
      FROM (SELECT organization_id, number
              FROM refusals
             WHERE mentions && ARRAY(SELECT fold(user_name)
                                       FROM users
                                      WHERE organization_id = $1 AND user_id = $2
                                     UNION
                                     SELECT fold(email ->> 'value')
                                       FROM users, jsonb_array_elements(emails) AS email
                                      WHERE organization_id = $1 AND user_id = $2
                                     UNION
                                     SELECT fold(resource_name)
                                       FROM changes
                                      WHERE organization_id = $1 AND resource_id = $2
                                        AND resource_name IS NOT NULL) COLLATE "default"
            OFFSET 0) AS mentioned
     WHERE organization_id = $1
     ORDER BY number
"""

_ERASE_REFUSAL: Final = """
    UPDATE refusals
       SET resource_name = NULL, target = '', body = '', detail = '', mentions = '{}'
     WHERE organization_id = $1 AND number = $2
"""

_GROUPS_OF_USER: Final = """
    (SELECT group_id FROM group_users WHERE organization_id = $1 AND user_id = $2)
"""

_LEAVE_GROUPS: Final = f"""
    WITH locked AS MATERIALIZED (
        {look_up("group_id", "groups", "group_id", _GROUPS_OF_USER, "FOR NO KEY UPDATE")}
    ), left_group AS (
        DELETE FROM group_users
         WHERE organization_id = $1 AND user_id = $2
           AND group_id = ANY(ARRAY(SELECT group_id FROM locked))
        RETURNING group_id
    ), changed AS (
        UPDATE groups
           SET version = version + 1, update_time = $3
          FROM left_group
         WHERE groups.organization_id = $1 AND groups.group_id = left_group.group_id
        RETURNING groups.group_id, version, display_name
    )
    INSERT INTO changes
        (organization_id, number, type, resource_id, version, user_ids, create_time, request_id,
         key_id, client, resource_name)
    SELECT $1, next_change(), 10, group_id, version, ARRAY[$2::uuid], $3, $4, $5, $6, display_name
      FROM (SELECT * FROM changed ORDER BY group_id) AS changed
"""  # noqa: S608

_DELETE: Final = f"""
    WITH deleted AS (
        DELETE FROM users WHERE organization_id = $1 AND user_id = $2 RETURNING user_id
    )
    INSERT INTO changes
        (organization_id, number, type, resource_id, create_time, request_id, key_id,
         client, last_administrator_lost)
    SELECT $1, next_change(), 5, user_id, $3, $4, $5, $6,
           $7 AND {LAST_ADMINISTRATOR.format(organization="$1", user="$2")}
      FROM deleted
"""  # noqa: S608
