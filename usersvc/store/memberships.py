"""The groups that contain users directly, or through other groups."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from usersvc.domain.users import GroupMembership


async def by_users(
    db: asyncpg.Connection, organization_id: UUID, user_ids: Sequence[UUID]
) -> dict[UUID, tuple[GroupMembership, ...]]:
    """The groups of each user in the order of their creation, without users who have none."""
    rows = await db.fetch(_BY_USERS, organization_id, user_ids)
    found: dict[UUID, list[GroupMembership]] = {}
    for user_id, group_id, display_name, direct in rows:
        found.setdefault(user_id, []).append(GroupMembership(group_id, display_name, direct))
    return {user_id: tuple(groups) for user_id, groups in found.items()}


# The recursion ends, because groups never form a cycle (GROUP_CYCLE). UNION drops duplicates.
# The planner has no estimate of the number of groups and would read all groups and nestings.
# OFFSET 0 and the array make it look up only those that are needed.
_BY_USERS: Final = """
    WITH RECURSIVE membership (user_id, group_id, direct) AS (
        SELECT user_id, group_id, true
          FROM group_users
         WHERE organization_id = $1 AND user_id = ANY($2::uuid[])
        UNION
        SELECT membership.user_id, parent.group_id, false
          FROM membership
         CROSS JOIN LATERAL (SELECT group_id
                               FROM group_groups
                              WHERE organization_id = $1
                                AND member_group_id = membership.group_id
                             OFFSET 0) AS parent
    ), named AS MATERIALIZED (
        SELECT group_id, display_name
          FROM groups
         WHERE organization_id = $1 AND group_id = ANY(ARRAY(SELECT group_id FROM membership))
    )
    SELECT user_id, group_id, display_name, bool_or(direct)
      FROM membership
      JOIN named USING (group_id)
     GROUP BY user_id, group_id, display_name
     ORDER BY user_id, group_id
"""
