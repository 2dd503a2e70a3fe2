"""The groups that contain users directly, or through other groups."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from usersvc.domain.users import GroupMembership
from usersvc.store.id_lookups import look_up


async def by_users(
    db: asyncpg.Connection, organization_id: UUID, user_ids: Sequence[UUID]
) -> dict[UUID, tuple[GroupMembership, ...]]:
    """The groups of each user in the order of their creation, without users who have none."""
    rows = await db.fetch(_BY_USERS, organization_id, user_ids)
    found: dict[UUID, list[GroupMembership]] = {}
    for user_id, group_id, display_name, direct in rows:
        found.setdefault(user_id, []).append(GroupMembership(group_id, display_name, direct))
    return {user_id: tuple(groups) for user_id, groups in found.items()}


_GROUPS: Final = "(SELECT group_id FROM membership)"

# The recursion ends, because groups never form a cycle (GROUP_CYCLE). UNION drops duplicates.
# The planner has no estimate of the number of groups and would read all groups and nestings.
# OFFSET 0 makes it look up only those that are needed.
_BY_USERS: Final = f"""
    WITH RECURSIVE membership (user_id, group_id, direct) AS (
        {look_up("user_id, group_id, true", "group_users", "user_id")}
        UNION
        SELECT membership.user_id, parent.group_id, false
          FROM membership
         CROSS JOIN LATERAL (SELECT group_id
                               FROM group_groups
                              WHERE organization_id = $1
                                AND member_group_id = membership.group_id
                             OFFSET 0) AS parent
    ), named AS MATERIALIZED (
        {look_up("group_id, display_name", "groups", "group_id", _GROUPS)}
    )
    SELECT user_id, group_id, display_name, bool_or(direct)
      FROM membership
      JOIN named USING (group_id)
     GROUP BY user_id, group_id, display_name
     ORDER BY user_id, group_id
"""  # noqa: S608
