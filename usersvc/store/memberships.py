"""The groups that contain users directly, or through other groups."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from usersvc.domain.users import GroupList, GroupMembership, GroupView
from usersvc.store.id_lookups import look_up


async def by_users(
    db: asyncpg.Connection, organization_id: UUID, user_ids: Sequence[UUID], view: GroupView
) -> dict[UUID, GroupList]:
    """The groups of each user in the order of their creation, without users who have none."""
    arguments = (organization_id, user_ids, view.max_groups, view.truncated)
    found: dict[UUID, list[GroupMembership]] = {}
    in_more = set()
    for user_id, group_id, display_name, direct in await db.fetch(_BY_USERS, *arguments):
        groups = found.setdefault(user_id, [])
        if group_id is None:
            in_more.add(user_id)
        else:
            groups.append(GroupMembership(group_id, display_name, direct))
    return {
        user_id: GroupList(tuple(groups[: view.max_groups]), user_id in in_more)
        for user_id, groups in found.items()
    }


# The recursion ends, because groups never form a cycle (GROUP_CYCLE). UNION drops duplicates.
# Rows are read one by one, so LIMIT also bounds what is read of a user in many groups.
# The planner has no estimate of the number of groups and would read all groups and nestings.
# OFFSET 0 makes it look up only those that are needed.
_GROUPS_OF_USER: Final = """
    WITH RECURSIVE direct AS MATERIALIZED (
        SELECT group_id
          FROM group_users
         WHERE organization_id = $1 AND user_id = wanted.user_id
         LIMIT $3::bigint + 1
    ), container AS (
        SELECT group_id FROM direct
        UNION
        SELECT parent.group_id
          FROM container
         CROSS JOIN LATERAL (SELECT group_id
                               FROM group_groups
                              WHERE organization_id = $1
                                AND member_group_id = container.group_id
                             OFFSET 0) AS parent
    )
    SELECT group_id, group_id IN (SELECT group_id FROM direct) AS direct
      FROM container
     LIMIT $3::bigint + 1
"""

_RETURNED: Final = "(SELECT group_id FROM returned)"

# A user in more than $3 groups has a row without a group; $4 returns groups of the user, too.
_BY_USERS: Final = f"""
    WITH counted AS MATERIALIZED (
        SELECT user_id, group_id, direct,
               coalesce(count(*) OVER (PARTITION BY user_id) > $3::bigint, false) AS is_over
          FROM (SELECT DISTINCT user_id FROM unnest($2::uuid[]) AS given (user_id)) AS wanted
         CROSS JOIN LATERAL ({_GROUPS_OF_USER}) AS membership
    ), returned AS MATERIALIZED (
        SELECT user_id, group_id, direct FROM counted WHERE $4::boolean OR NOT is_over
    ), named AS MATERIALIZED (
        {look_up("group_id, display_name", "groups", "group_id", _RETURNED)}
    )
    SELECT user_id, group_id, display_name, direct
      FROM returned
      JOIN named USING (group_id)
     UNION ALL
    SELECT DISTINCT user_id, NULL::uuid, NULL, NULL::boolean
      FROM counted
     WHERE is_over
     ORDER BY user_id, group_id
"""  # noqa: S608
