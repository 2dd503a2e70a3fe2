"""Deletion of a group, which also leaves the groups that contain it."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.errors import ETAG_MISMATCH, Refusal
from usersvc.domain.changes import Origin
from usersvc.domain.errors import GROUP_NOT_FOUND
from usersvc.store.groups import members as member_store
from usersvc.store.id_lookups import look_up


async def delete(
    db: asyncpg.Connection,
    organization_id: UUID,
    group_id: UUID,
    etag: str,
    *,
    now: datetime,
    origin: Origin,
) -> None:
    """Delete a group, in the caller's transaction. Refuses as `GroupStore.delete` does."""
    await member_store.lock_nesting(db, organization_id)
    rows = await db.fetch(_LOCK_WITH_PARENTS, organization_id, group_id)
    version = dict(rows).get(group_id)
    if version is None:
        raise Refusal(GROUP_NOT_FOUND, group_id)
    if etag and etag != str(version):
        raise Refusal(ETAG_MISMATCH, str(version))
    arguments = (
        organization_id, group_id, now, origin.request_id, origin.key_id, origin.client,
    )  # fmt: skip
    await db.execute(_LEAVE_PARENTS, *arguments)
    await db.execute(_DELETE, *arguments)


# --- statements -------------------------------------------------------------------------

# The group and the groups that contain it.
_LOCK_WITH_PARENTS: Final = look_up(
    "group_id, version",
    "groups",
    "group_id",
    """
    (SELECT $2::uuid
     UNION ALL
     SELECT group_id FROM group_groups WHERE organization_id = $1 AND member_group_id = $2)
    """,
    "FOR UPDATE",
)

_LEAVE_PARENTS: Final = """
    WITH parent AS (
        DELETE FROM group_groups
         WHERE organization_id = $1 AND member_group_id = $2
        RETURNING group_id
    ), changed AS (
        UPDATE groups
           SET version = version + 1, update_time = $3
          FROM parent
         WHERE groups.organization_id = $1 AND groups.group_id = parent.group_id
        RETURNING groups.group_id, version, display_name
    )
    INSERT INTO changes
        (organization_id, number, type, resource_id, version, group_ids, create_time, request_id,
         key_id, client, resource_name)
    SELECT $1, next_change(), 10, group_id, version, ARRAY[$2::uuid], $3, $4, $5, $6, display_name
      FROM (SELECT * FROM changed ORDER BY group_id) AS changed
"""

_DELETE: Final = """
    WITH deleted AS (
        DELETE FROM groups
         WHERE organization_id = $1 AND group_id = $2
        RETURNING group_id, display_name
    )
    INSERT INTO changes
        (organization_id, number, type, resource_id, create_time, request_id, key_id,
         client, resource_name)
    SELECT $1, next_change(), 8, group_id, $3, $4, $5, $6, display_name
      FROM deleted
"""
