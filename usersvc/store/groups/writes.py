"""Creation and change of groups and members, each one statement that also writes the feed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from chassis.database import arguments as sql
from usersvc.domain import changes
from usersvc.domain.changes import Difference, Origin
from usersvc.domain.groups import Group, GroupProfile, MemberChange
from usersvc.store.groups.members import FoundMembers


async def insert(
    db: asyncpg.Connection,
    organization_id: UUID,
    profile: GroupProfile,
    unknown: tuple[str, ...],
    found: FoundMembers,
    *,
    now: datetime,
    origin: Origin,
) -> UUID:
    """Add a group with its first members, in the caller's transaction. Returns the new id."""
    group_id: UUID = await db.fetchval(
        _INSERT,
        organization_id, now, profile.display_name, profile.external_id or None,
        found.new_members, found.groups, unknown,
        changes.assigned_group_fields(profile, unknown), origin.request_id, origin.key_id,
        origin.client,
    )  # fmt: skip
    return group_id


async def write(
    db: asyncpg.Connection,
    group: Group,
    changed: Group,
    members: MemberChange,
    *,
    found: FoundMembers,
    now: datetime,
    origin: Origin,
) -> Group:
    """Write the differences between a locked group and `changed`, and the changes of its members.

    Returns the group as it is afterwards.
    """
    profile, differing = changed.profile, _difference(group, changed)
    version = await db.fetchval(
        _REPLACE if members.clear else _UPDATE,
        *_UpdateArguments(
            organization_id=group.organization_id,
            group_id=group.group_id,
            now=now,
            display_name=profile.display_name,
            external_id=profile.external_id or None,
            is_changed=changed != group,
            users=found.new_members,
            groups=found.groups,
            compared=found.members if members.clear else _ids_to_remove(members),
            unknown_members=changed.unknown,
            fields=differing.fields,
            old_values=differing.old,
            new_values=differing.new,
            request_id=origin.request_id,
            key_id=origin.key_id,
            client=origin.client,
        ),
    )
    if version is None:
        return group
    return replace(changed, version=version, update_time=now)


def _ids_to_remove(members: MemberChange) -> Sequence[str]:
    """The ids to remove that are not added again.

    The result is a list, because asyncpg takes twice as long to encode a set.
    """
    if not members.add:
        return members.remove
    return list({*members.remove}.difference(members.add))


def _difference(old: Group, new: Group) -> Difference:
    return changes.group_difference(old.profile, old.unknown, new.profile, new.unknown)


# --- statements -------------------------------------------------------------------------

# The removed (10) and added (9) members, in rows of up to 1,000.
_MEMBER_CHANGES: Final = """
    SELECT type, '{}'::text[] AS fields,
           coalesce(array_agg(member_id) FILTER (WHERE NOT is_group), '{}') AS user_ids,
           coalesce(array_agg(member_id) FILTER (WHERE is_group), '{}') AS group_ids,
           20 - type AS ordinal
      FROM (SELECT *, (row_number() OVER (PARTITION BY type ORDER BY member_id) - 1) / 1000 AS part
              FROM member_change)
     GROUP BY type, part
"""

_INSERT: Final = f"""
    WITH new_group AS (
        INSERT INTO groups
            (organization_id, create_time, update_time, display_name, external_id, unknown_members)
        VALUES ($1, $2, $2, $3, $4, $7)
        RETURNING group_id
    ), added_users AS (
        INSERT INTO group_users (organization_id, group_id, user_id)
        SELECT $1, group_id, user_id FROM new_group, unnest($5::uuid[]) AS user_id
    ), added_groups AS (
        INSERT INTO group_groups (organization_id, group_id, member_group_id)
        SELECT $1, group_id, member_id FROM new_group, unnest($6::uuid[]) AS member_id
    ), member_change (type, member_id, is_group) AS (
        SELECT 9::smallint, user_id, false FROM unnest($5::uuid[]) AS user_id
        UNION ALL
        SELECT 9::smallint, member_id, true FROM unnest($6::uuid[]) AS member_id
    ), change AS (
        SELECT 6::smallint AS type, $8::text[] AS fields, '{{}}'::uuid[] AS user_ids,
               '{{}}'::uuid[] AS group_ids, 0 AS ordinal
        UNION ALL
        {_MEMBER_CHANGES}
    ), logged AS (
        INSERT INTO changes
            (organization_id, number, type, resource_id, version, fields, user_ids, group_ids,
             create_time, request_id, key_id, client, resource_name)
        SELECT $1, next_change(), type, (SELECT group_id FROM new_group), 1, fields, user_ids,
               group_ids, $2, $9, $10, $11, $3
          FROM (SELECT * FROM change ORDER BY ordinal) AS change
    )
    SELECT group_id FROM new_group
"""  # noqa: S608


class _UpdateArguments(NamedTuple):
    organization_id: UUID
    group_id: UUID
    now: datetime
    display_name: str
    external_id: str | None
    is_changed: bool
    """Whether the group's own values change, apart from its members."""
    users: Sequence[str]
    groups: Sequence[str]
    compared: Sequence[str]
    """The member ids to remove (`_UPDATE`), or the users to keep (`_REPLACE`)."""
    unknown_members: Sequence[str]
    fields: Sequence[str]
    old_values: Sequence[str | None]
    new_values: Sequence[str | None]
    request_id: str
    key_id: UUID | None
    client: str


def _update(user: str, group: str) -> str:
    """The statement that updates a group and its members. It writes only differences."""
    return sql.number_arguments(
        f"""
        WITH removed_users AS (
            DELETE FROM group_users
             WHERE organization_id = :organization_id AND group_id = :group_id AND user_id {user}
            RETURNING user_id
        ), removed_groups AS (
            DELETE FROM group_groups
             WHERE organization_id = :organization_id AND group_id = :group_id
               AND member_group_id {group}
            RETURNING member_group_id
        ), added_users AS (
            INSERT INTO group_users (organization_id, group_id, user_id)
            SELECT :organization_id, :group_id, user_id FROM unnest(:users::uuid[]) AS user_id
            ON CONFLICT ON CONSTRAINT group_users_pkey DO NOTHING
            RETURNING user_id
        ), added_groups AS (
            INSERT INTO group_groups (organization_id, group_id, member_group_id)
            SELECT :organization_id, :group_id, member_id FROM unnest(:groups::uuid[]) AS member_id
            ON CONFLICT ON CONSTRAINT group_groups_pkey DO NOTHING
            RETURNING member_group_id
        ), member_change (type, member_id, is_group) AS (
            SELECT 10::smallint, user_id, false FROM removed_users
            UNION ALL
            SELECT 10::smallint, member_group_id, true FROM removed_groups
            UNION ALL
            SELECT 9::smallint, user_id, false FROM added_users
            UNION ALL
            SELECT 9::smallint, member_group_id, true FROM added_groups
        ), written AS (
            UPDATE groups
               SET version = version + 1, update_time = :now, display_name = :display_name,
                   external_id = :external_id, unknown_members = :unknown_members
             WHERE organization_id = :organization_id AND group_id = :group_id
               AND (:is_changed OR EXISTS (SELECT FROM member_change))
            RETURNING version
        ), change AS (
            SELECT 7::smallint AS type, :fields::text[] AS fields, '{{}}'::uuid[] AS user_ids,
                   '{{}}'::uuid[] AS group_ids, 0 AS ordinal
             WHERE :is_changed
            UNION ALL
            {_MEMBER_CHANGES}
        ), logged AS (
            INSERT INTO changes
                (organization_id, number, type, resource_id, version, fields, user_ids, group_ids,
                 create_time, request_id, key_id, client, resource_name, old_values, new_values)
            SELECT :organization_id, next_change(), type, :group_id,
                   (SELECT version FROM written), fields, user_ids, group_ids, :now,
                   :request_id, :key_id, :client, :display_name,
                   CASE type WHEN 7 THEN :old_values::text[] END,
                   CASE type WHEN 7 THEN :new_values::text[] END
              FROM (SELECT * FROM change ORDER BY ordinal) AS change
        )
        SELECT version FROM written
        """,  # noqa: S608
        _UpdateArguments._fields,
    )


# `compared` contains the ids to remove.
_UPDATE: Final = _update("= ANY(:compared::uuid[])", "= ANY(:compared::uuid[])")

# `compared` contains the users to keep. The ids are in subqueries, because the planner builds a
# hash table for a subquery even if it does not know the number of ids.
_REPLACE: Final = _update(
    "NOT IN (SELECT unnest(:compared::uuid[] || :users::uuid[]))",
    "NOT IN (SELECT unnest(:groups::uuid[]))",
)
