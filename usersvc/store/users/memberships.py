"""The groups that contain users directly, or through other groups."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from usersvc.domain.users import GroupList, GroupMembership, GroupView
from usersvc.store.id_lookups import PAIRS, columns_of, look_up, look_up_across

Row = Any  # asyncpg is untyped


async def by_users(
    db: asyncpg.Connection, organization_id: UUID, user_ids: Sequence[UUID], view: GroupView
) -> dict[UUID, GroupList]:
    """The groups of each user in the order of their creation, without users who have none."""
    arguments = (organization_id, user_ids, view.max_groups, view.truncated)
    found = _group_lists(await db.fetch(_BY_USERS, *arguments), view.max_groups)
    return {user_id: groups for (user_id,), groups in found.items()}


async def by_users_across(
    db: asyncpg.Connection, users: Sequence[tuple[UUID, UUID]], max_groups: int
) -> dict[tuple[UUID, ...], GroupList]:
    """As `by_users`, of users of several organizations: pairs of an organization and an id.

    A user in more than `max_groups` has an empty list with `more`.
    """
    rows = await db.fetch(_BY_USERS_ACROSS, *columns_of(users), max_groups, False)
    return _group_lists(rows, max_groups)


def _group_lists(rows: Sequence[Row], max_groups: int | None) -> dict[tuple[UUID, ...], GroupList]:
    """The groups by the first columns, which identify a user."""
    found: dict[tuple[UUID, ...], list[GroupMembership]] = {}
    in_more = set()
    for row in rows:
        user: tuple[UUID, ...] = row[:-3]
        group_id, display_name, direct = row[-3:]
        groups = found.setdefault(user, [])
        if group_id is None:
            in_more.add(user)
        else:
            groups.append(GroupMembership(group_id, display_name, direct))
    return {
        user: GroupList(tuple(groups[:max_groups]), user in in_more)
        for user, groups in found.items()
    }


# --- statements -------------------------------------------------------------------------


def _by_users(users: str, organization: str, key: str, names: str) -> str:
    """The statement for the users of the SELECT `users`.

    `organization` is that of a row of `users`. `key` is the column that precedes a group's or
    user's id if the organizations differ. `names` selects the names of the groups.

    The recursion ends, because groups never form a cycle (GROUP_CYCLE). UNION drops duplicates.
    Rows are read one by one, so LIMIT also bounds what is read of a user in many groups.
    The planner has no estimate of the number of groups and would read all groups and nestings.
    OFFSET 0 makes it look up only those that are needed.

    A user in more than $3 groups has a row without a group; $4 returns groups of the user, too.
    """
    groups_of_user = f"""
        WITH RECURSIVE direct AS MATERIALIZED (
            SELECT group_id
              FROM group_users
             WHERE organization_id = {organization} AND user_id = wanted.user_id
             LIMIT $3::bigint + 1
        ), container AS (
            SELECT group_id FROM direct
            UNION
            SELECT parent.group_id
              FROM container
             CROSS JOIN LATERAL (SELECT group_id
                                   FROM group_groups
                                  WHERE organization_id = {organization}
                                    AND member_group_id = container.group_id
                                 OFFSET 0) AS parent
        )
        SELECT group_id, group_id IN (SELECT group_id FROM direct) AS direct
          FROM container
         LIMIT $3::bigint + 1
    """  # noqa: S608
    return f"""
        WITH counted AS MATERIALIZED (
            SELECT {key} user_id, group_id, direct,
                   coalesce(count(*) OVER (PARTITION BY {key} user_id) > $3::bigint, false)
                   AS is_over
              FROM ({users}) AS wanted
             CROSS JOIN LATERAL ({groups_of_user}) AS membership
        ), returned AS MATERIALIZED (
            SELECT {key} user_id, group_id, direct FROM counted WHERE $4::boolean OR NOT is_over
        ), named AS MATERIALIZED (
            {names}
        )
        SELECT {key} user_id, group_id, display_name, direct
          FROM returned
          JOIN named USING ({key} group_id)
         UNION ALL
        SELECT DISTINCT {key} user_id, NULL::uuid, NULL, NULL::boolean
          FROM counted
         WHERE is_over
         ORDER BY user_id, group_id
    """  # noqa: S608


_BY_USERS: Final = _by_users(
    "SELECT DISTINCT user_id FROM unnest($2::uuid[]) AS given (user_id)",
    "$1",
    "",
    look_up("group_id, display_name", "groups", "group_id", "(SELECT group_id FROM returned)"),
)
_BY_USERS_ACROSS: Final = _by_users(
    f"SELECT organization_id, user_id FROM {PAIRS} AS given (organization_id, user_id)",  # noqa: S608
    "wanted.organization_id",
    "organization_id,",
    look_up_across(
        "organization_id, group_id, display_name",
        "groups",
        "group_id",
        "(SELECT DISTINCT organization_id, group_id FROM returned)",
    ),
)
