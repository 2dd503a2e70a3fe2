"""The tables of group members.

All transactions take locks in the same order, so that they cannot deadlock: first users that become
members, then the nesting lock of the organization, then groups by id. `store.groups.store` and
`store.users.deletion` keep to this order too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from chassis.errors import Refusal
from usersvc.domain.errors import GROUP_CYCLE, MEMBER_NOT_FOUND
from usersvc.domain.groups import Member, MemberChange, MemberKind
from usersvc.store.id_lookups import look_up


@dataclass(frozen=True, slots=True)
class FoundMembers:
    """The ids in a request that belong to users or groups.

    `new_members` and `groups` are locked: they cannot be deleted before the transaction ends.
    """

    members: Sequence[str] = ()
    """Users that were already members, read before the group was locked."""
    new_members: Sequence[str] = ()
    groups: Sequence[str] = ()


async def find_and_lock(
    db: asyncpg.Connection,
    organization_id: UUID,
    group_id: UUID,
    ids: Sequence[str],
    *,
    all_as_new_members: bool = False,
) -> FoundMembers:
    """Find and lock the users and groups among ids. Users that are already members stay unlocked.

    A request that replaces the members of a large group usually changes only a few of them, and
    locking the others would be expensive.
    """
    if not ids:
        return FoundMembers()
    row = await db.fetchrow(_FIND, organization_id, group_id, ids, all_as_new_members)
    if row["groups"]:
        await lock_nesting(db, organization_id)
        # Some groups may have been deleted while this transaction waited for the lock.
        row = await db.fetchrow(_FIND, organization_id, group_id, ids, all_as_new_members)
    return FoundMembers(row["members"], row["new_members"], row["groups"])


async def are_members(
    db: asyncpg.Connection, organization_id: UUID, group_id: UUID, user_ids: Sequence[str]
) -> bool:
    """Whether all of the users are direct members of a group."""
    if not user_ids:
        return True
    found: int = await db.fetchval(_COUNT_MEMBERS, organization_id, group_id, user_ids)
    return found == len(user_ids)


async def lock_nesting(db: asyncpg.Connection, organization_id: UUID) -> None:
    """Lock the nesting of the organization's groups, and their deletion, for this transaction."""
    await db.execute(
        "SELECT pg_advisory_xact_lock(uuid_hash_extended($1, $2))",
        organization_id, _NESTING,
    )  # fmt: skip


def unknown_ids(change: MemberChange, found: FoundMembers) -> list[str]:
    """The ids to add that belong to neither a user nor a group.

    Refuses MEMBER_NOT_FOUND for the first such id unless `keep_unknown`.
    """
    known = {*found.members, *found.new_members, *found.groups}
    unknown = [member_id for member_id in change.add if member_id not in known]
    if unknown and not change.keep_unknown:
        raise Refusal(MEMBER_NOT_FOUND, unknown[0])
    return unknown


async def check_no_cycle(
    db: asyncpg.Connection,
    organization_id: UUID,
    group_id: UUID,
    change: MemberChange,
    found: FoundMembers,
) -> None:
    """Refuse (GROUP_CYCLE) to add a group that contains this one."""
    if found.groups:
        ancestors = set(await db.fetchval(_ANCESTORS, organization_id, group_id))
        for member_id in change.add:
            if member_id in ancestors:
                raise Refusal(GROUP_CYCLE, group_id, member_id)


async def page(
    db: asyncpg.Connection,
    organization_id: UUID,
    group_id: UUID,
    after: UUID,
    size: int,
    *,
    named: bool,
) -> list[Member]:
    """The members after an id, ordered by id. Names are looked up only if `named`."""
    statement = _PAGE if named else _PAGE_WITHOUT_NAMES
    rows = await db.fetch(statement, organization_id, group_id, after, size)
    return [Member(str(member_id), MemberKind(kind), name) for member_id, kind, name in rows]


# --- statements -------------------------------------------------------------------------

_NESTING: Final = 0x6E657374  # "nest": the hash seed, which separates these locks from others

_NOT_MEMBERS: Final = """
    (SELECT id FROM unnest($3::uuid[]) AS id WHERE id NOT IN (SELECT user_id FROM member))
"""
_NO_USERS: Final = f"""
    (SELECT id FROM {_NOT_MEMBERS} AS other (id) WHERE id NOT IN (SELECT user_id FROM new_member))
"""  # noqa: S608

# `= ANY` of an array is always part of the index condition of `group_users`, even if the planner
# misjudges the size of the group. So the cost is one index lookup for each id.
_FIND: Final = f"""
    WITH member AS MATERIALIZED (
        SELECT user_id
          FROM group_users
         WHERE organization_id = $1 AND group_id = $2 AND user_id = ANY($3::uuid[]) AND NOT $4
    ), new_member AS MATERIALIZED (
        {look_up("user_id", "users", "user_id", _NOT_MEMBERS, "FOR KEY SHARE")}
    )
    SELECT ARRAY(SELECT user_id::text FROM member) AS members,
           ARRAY(SELECT user_id::text FROM new_member) AS new_members,
           ARRAY({look_up("group_id::text", "groups", "group_id", _NO_USERS)}) AS groups
"""  # noqa: S608

_COUNT_MEMBERS: Final = """
    SELECT count(*)
      FROM group_users
     WHERE organization_id = $1 AND group_id = $2 AND user_id = ANY($3::uuid[])
"""

# The group and all groups that it is a member of, directly or through others. OFFSET 0
# makes the planner look them up one by one; otherwise it reads all nestings of the organization.
_ANCESTORS: Final = """
    WITH RECURSIVE ancestors (group_id) AS (
        SELECT $2::uuid
        UNION
        SELECT parent.group_id
          FROM ancestors
         CROSS JOIN LATERAL (SELECT group_id
                               FROM group_groups
                              WHERE organization_id = $1
                                AND member_group_id = ancestors.group_id
                             OFFSET 0) AS parent
    )
    SELECT ARRAY(SELECT group_id::text FROM ancestors)
"""

# The subqueries look up names only for the members of the page.
_PAGE: Final = """
    SELECT member_id, kind,
           CASE kind
           WHEN 'user' THEN (SELECT coalesce(display_name, user_name)
                               FROM users
                              WHERE organization_id = $1 AND user_id = member_id)
           ELSE (SELECT display_name
                   FROM groups
                  WHERE organization_id = $1 AND group_id = member_id)
           END
      FROM group_members
     WHERE organization_id = $1 AND group_id = $2 AND member_id > $3
     ORDER BY member_id
     LIMIT $4
"""

_PAGE_WITHOUT_NAMES: Final = """
    SELECT member_id, kind, ''
      FROM group_members
     WHERE organization_id = $1 AND group_id = $2 AND member_id > $3
     ORDER BY member_id
     LIMIT $4
"""
