"""Reads and writes of groups. Each transaction is limited to one organization."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.concurrency.notifier import Notifier
from chassis.database.constraints import Constraints, violations_as_refusals
from chassis.database.pool import Database
from chassis.errors import InvalidField, Refusal
from usersvc.domain import limits
from usersvc.domain.changes import Origin
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
from usersvc.store.groups import members as member_store
from usersvc.store.groups.deletion import delete
from usersvc.store.groups.writes import insert, write
from usersvc.store.listing.group_fields import COLUMNS, GROUPS
from usersvc.store.listing.lists import Lists
from usersvc.store.rows import group as group_rows

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
            group_id = await insert(
                db, organization_id, profile, unknown, found, now=now, origin=origin
            )
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
                group = group_rows.group(row)
                profile = decide(group)
                unknown_ids = member_store.unknown_ids(members, found)
                await member_store.check_no_cycle(db, organization_id, group_id, members, found)
                wanted = replace(
                    group,
                    profile=profile,
                    unknown=unknown_members_after(group.unknown, members, unknown_ids),
                )
                if await member_store.are_members(db, organization_id, group_id, found.members):
                    group = await write(
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
            await delete(db, organization_id, group_id, etag, now=now, origin=origin)

    async def list(self, query: Query) -> Page[Group]:
        """Read a page of the groups that satisfy a filter. Refuses as `Lists.page` does."""
        return await self._lists.page(query, GROUPS, group_rows.group)

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
        unknown = _unknown_members(group_rows.group(row))
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
    return group_rows.group(row)


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


# --- statements -------------------------------------------------------------------------

_SELECT_ONE: Final = f"SELECT {COLUMNS} FROM groups WHERE organization_id = $1 AND group_id = $2"  # noqa: S608

_SELECT_LOCKED: Final = f"{_SELECT_ONE} FOR NO KEY UPDATE"
