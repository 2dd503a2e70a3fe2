"""The table of groups. Each statement is limited to one organization."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from chassis.concurrency.notifier import Notifier
from chassis.database import arguments as sql
from chassis.database.constraints import Constraints, violations_as_refusals
from chassis.database.pool import Database
from chassis.errors import ETAG_MISMATCH, InvalidField, Refusal
from usersvc.domain import changes, limits
from usersvc.domain.changes import Difference, Origin
from usersvc.domain.errors import GROUP_CYCLE, GROUP_NOT_FOUND
from usersvc.domain.filters import Filter, Page, Position, Query
from usersvc.domain.groups import (
    Group,
    GroupProfile,
    Member,
    MemberChange,
    MemberKind,
    MemberView,
    WrittenGroup,
    unknown_members_after,
)
from usersvc.domain.idempotency import CreateRequest
from usersvc.store import idempotency
from usersvc.store import members as member_store
from usersvc.store.id_lookups import look_up
from usersvc.store.listing.group_fields import COLUMNS, GROUPS
from usersvc.store.listing.lists import Lists
from usersvc.store.members import FoundMembers

Row = Any  # asyncpg is untyped
_LAST: Final = UUID(int=2**128 - 1)
"""Sorts after every id in use."""
_NEW: Final = UUID(int=0)
"""A placeholder for the id of a new group. Ids are UUIDv7, which is never nil."""

CONSTRAINTS: Final[Constraints] = {
    "groups_external_id_size": lambda _: InvalidField("external_id", limits.TOO_LONG_FOLDED),
    "groups_display_name_size": lambda _: InvalidField("display_name", limits.TOO_LONG_FOLDED),
    "group_groups_self": lambda group_id: Refusal(GROUP_CYCLE, group_id, group_id),
}
"""The refusals by constraint. Their argument is the group's id."""


class GroupStore:
    """Reads and writes the groups of one organization at a time, and their members.

    Each change is written to the change feed in the same transaction. `notifier` is notified after
    the commit.
    """

    def __init__(self, database: Database, lists: Lists, notifier: Notifier) -> None:
        self._database = database
        self._lists = lists
        self._notifier = notifier

    async def create(
        self,
        organization_id: UUID,
        profile: GroupProfile,
        members: MemberChange,
        now: datetime,
        origin: Origin,
        *,
        request: CreateRequest | None = None,
        view: MemberView | None = None,
        validate_only: bool = False,
    ) -> WrittenGroup:
        """Create a group with its first members, or return the one that the same request created.

        Refuses MEMBER_NOT_FOUND and InvalidField, REQUEST_ID_REUSED and GROUP_NOT_FOUND.
        """
        async with self._transaction(_NEW, undo=validate_only) as db:
            existing_id = await idempotency.begin(db, request, now) if request else None
            if existing_id is not None:
                group = await _get(db, organization_id, existing_id, locked=view is not None)
                return await _written(db, group, view)
            found = await member_store.find_and_lock(db, organization_id, _NEW, members.add)
            unknown_ids = member_store.unknown_ids(members, found)
            await member_store.check_no_cycle(db, organization_id, _NEW, members, found)
            unknown = unknown_members_after((), members, unknown_ids)
            group_id = await db.fetchval(
                _INSERT,
                organization_id, now, profile.display_name, profile.external_id or None,
                found.new_members, found.groups, unknown,
                changes.assigned_group_fields(profile, unknown), origin.request_id, origin.key_id,
                origin.client,
            )  # fmt: skip
            if request is not None:
                await idempotency.end(db, request, group_id)
            group = Group(organization_id, group_id, 1, now, now, profile, unknown)
            return await _written(db, group, view)

    async def get(self, organization_id: UUID, group_id: UUID) -> Group:
        """Read a group. Refuses GROUP_NOT_FOUND."""
        async with self._database.connection() as db:
            return await _get(db, organization_id, group_id)

    async def change(
        self,
        organization_id: UUID,
        group_id: UUID,
        decide: Callable[[Group], GroupProfile],
        members: MemberChange,
        *,
        now: datetime,
        origin: Origin,
        view: MemberView | None = None,
        validate_only: bool = False,
    ) -> WrittenGroup:
        """Set the profile that `decide` returns for the locked group, and change the members.

        Refuses GROUP_NOT_FOUND, MEMBER_NOT_FOUND, GROUP_CYCLE and InvalidField.
        """
        for lock_all in (False, True):
            async with self._transaction(group_id, undo=validate_only) as db:
                found = await member_store.find_and_lock(
                    db,
                    organization_id,
                    group_id,
                    members.add,
                    all_as_new_members=lock_all,
                )
                row = await db.fetchrow(_SELECT_LOCKED, organization_id, group_id)
                if row is None:
                    raise Refusal(GROUP_NOT_FOUND, group_id)
                group = group_from_row(row)
                profile = decide(group)
                unknown_ids = member_store.unknown_ids(members, found)
                await member_store.check_no_cycle(db, organization_id, group_id, members, found)
                wanted = replace(
                    group,
                    profile=profile,
                    unknown=unknown_members_after(group.unknown, members, unknown_ids),
                )
                if await member_store.are_members(db, organization_id, group_id, found.members):
                    group = await _write(
                        db, group, wanted, members, found=found, now=now, origin=origin
                    )
                    return await _written(db, group, view)
            # Another transaction removed a member just before the group was locked. Locking that
            # user now could deadlock: start again and lock all users first.
        raise AssertionError("the second attempt locks all users")

    async def delete(
        self,
        organization_id: UUID,
        group_id: UUID,
        etag: str,
        *,
        now: datetime,
        origin: Origin,
        validate_only: bool = False,
    ) -> None:
        """Delete a group. An empty `etag` matches any version.

        Refuses GROUP_NOT_FOUND and ETAG_MISMATCH.
        """
        async with self._transaction(group_id, undo=validate_only) as db:
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

    async def list(self, query: Query) -> Page[Group]:
        """Read a page of the groups that satisfy a filter. Refuses as `Lists.page` does."""
        return await self._lists.page(query, GROUPS, group_from_row)

    async def count(self, organization_id: UUID, filter_: Filter | None) -> int:
        """Count the groups that satisfy a filter. Refuses as `Lists.count` does."""
        return await self._lists.count(organization_id, filter_, GROUPS)

    async def members(
        self,
        organization_id: UUID,
        group_id: UUID,
        after: UUID | None,
        size: int,
        *,
        named: bool,
    ) -> Page[Member]:
        """Read a page of a group's direct members, the unknown ones last.

        Refuses GROUP_NOT_FOUND.
        """
        async with self._database.connection() as db:
            members = await member_store.page(
                db, organization_id, group_id, after or _NEW, size + 1, named=named
            )
            if len(members) > size:
                return Page(members[:size], _position_of(members[size - 1]), _positions(members))
            row = await db.fetchrow(_SELECT_ONE, organization_id, group_id)
        if row is None:
            raise Refusal(GROUP_NOT_FOUND, group_id)
        unknown = _unknown_members(group_from_row(row))
        if members and unknown:
            # Unknown members get a page of their own, even if this page has space left.
            return Page(members, Position(None, _LAST), _positions(members))
        return Page(members or unknown, None, _positions(members) if members else None)

    @asynccontextmanager
    async def _transaction(
        self, group_id: UUID, *, undo: bool
    ) -> AsyncIterator[asyncpg.Connection]:
        with violations_as_refusals(CONSTRAINTS, str(group_id)):
            async with self._database.transaction(rollback=undo) as db:
                yield db
        self._notifier.notify()


async def _get(
    db: asyncpg.Connection, organization_id: UUID, group_id: UUID, *, locked: bool = False
) -> Group:
    row = await db.fetchrow(_SELECT_LOCKED if locked else _SELECT_ONE, organization_id, group_id)
    if row is None:
        raise Refusal(GROUP_NOT_FOUND, group_id)
    return group_from_row(row)


async def _written(db: asyncpg.Connection, group: Group, view: MemberView | None) -> WrittenGroup:
    """The group with its members. The row lock keeps other transactions from changing them."""
    if view is None or len(group.unknown) > view.max_members:
        return WrittenGroup(group)
    members = await member_store.page(
        db, group.organization_id, group.group_id, _NEW, view.max_members + 1, named=view.named
    )
    members += _unknown_members(group)
    return WrittenGroup(group, tuple(members) if len(members) <= view.max_members else None)


def _unknown_members(group: Group) -> list[Member]:
    return [Member(text, MemberKind.UNKNOWN, "") for text in group.unknown]


def _position_of(member: Member) -> Position:
    return Position(None, UUID(member.member_id))


def _positions(members: Sequence[Member]) -> Callable[[int], Position]:
    return lambda index: _position_of(members[index])


async def _write(
    db: asyncpg.Connection,
    group: Group,
    changed: Group,
    members: MemberChange,
    *,
    found: FoundMembers,
    now: datetime,
    origin: Origin,
) -> Group:
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


def group_from_row(row: Row) -> Group:
    """The group in a row of `COLUMNS`."""
    return Group(
        organization_id=row["organization_id"],
        group_id=row["group_id"],
        version=row["version"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        profile=GroupProfile(row["display_name"], row["external_id"] or ""),
        unknown=tuple(row["unknown_members"]),
    )


# --- statements -------------------------------------------------------------------------

_SELECT_ONE: Final = f"SELECT {COLUMNS} FROM groups WHERE organization_id = $1 AND group_id = $2"  # noqa: S608

_SELECT_LOCKED: Final = f"{_SELECT_ONE} FOR NO KEY UPDATE"

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
