"""Reads and writes of users. Each transaction is limited to one organization."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg

from chassis.batching.writer import BatchWriter
from chassis.concurrency.notifier import Notifier
from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable, Refusal
from usersvc.domain import extensions
from usersvc.domain.changes import Origin
from usersvc.domain.errors import USER_NOT_FOUND
from usersvc.domain.extensions import Extensions
from usersvc.domain.filters import Filter, Page, Query
from usersvc.domain.idempotency import CreateRequest
from usersvc.domain.lookups import Match, UserKey, key_in_query
from usersvc.domain.schemas import Schema
from usersvc.domain.users import GroupView, Profile, User
from usersvc.store import idempotency
from usersvc.store import schemas as schema_store
from usersvc.store.listing.fields import Resource
from usersvc.store.listing.lists import Lists
from usersvc.store.rows import user as user_rows
from usersvc.store.users.deletion import delete
from usersvc.store.users.shared_reads import SELECT_ONE, SharedReads
from usersvc.store.users.writes import NewUser, UserUpdate, insert, insert_many, write, write_many

DecideProfile: TypeAlias = Callable[[User, Sequence[Schema]], Profile]
"""Returns the new profile of a user, given the user and the schemas of the user's extensions."""

BATCH_WRITES: Final = 8
"""The most writes of a transaction. Larger batches would hardly cost less and keep locks longer."""


class UserStore:
    """Reads and writes the users of one organization at a time.

    Each change is written to the change feed in the same transaction. `notifier` is notified after
    the commit.
    """

    def __init__(
        self,
        database: Database,
        lists: Lists,
        notifier: Notifier,
        *,
        reads_across_organizations: bool = True,
    ) -> None:
        self._database = database
        self._lists = lists
        self._notifier = notifier
        self._reads = SharedReads(database, across_organizations=reads_across_organizations)
        self._inserts = BatchWriter(
            self._insert_one,
            self._insert_many,
            size=BATCH_WRITES,
            separable=asyncpg.PostgresError,
            cancelled=DatabaseUnavailable,
        )
        self._writes = BatchWriter(
            self._write_one,
            self._write_many,
            size=BATCH_WRITES,
            separable=asyncpg.PostgresError,
            cancelled=DatabaseUnavailable,
        )

    async def create(
        self,
        organization_id: UUID,
        profile: Profile,
        now: datetime,
        origin: Origin,
        *,
        request: CreateRequest | None = None,
        validate_only: bool = False,
    ) -> User:
        """Create a user, or return the one that the same request created.

        Refuses USER_NAME_TAKEN and InvalidField, REQUEST_ID_REUSED and USER_NOT_FOUND.
        """
        if not (profile.extensions or request or validate_only):
            new_user = NewUser(organization_id, profile, now, origin)
            return await self._inserts.write(organization_id, new_user)
        async with self._transaction(undo=validate_only) as db:
            existing_id = await idempotency.begin(db, request, now) if request else None
            if existing_id is not None:
                return await _get(db, organization_id, existing_id)
            if urns := profile.extensions.keys():
                schemas = await schema_store.lock(db, organization_id, urns)
                extensions.apply({}, profile.extensions, (extensions.ALL,), schemas)
            user = await insert(db, organization_id, profile, now, origin)
            if request is not None:
                await idempotency.end(db, request, user.user_id)
            return user

    async def by_ids(self, organization_id: UUID, user_ids: Sequence[UUID]) -> Sequence[User]:
        """Read the users that exist among `user_ids`, in any order."""
        return await self._reads.by_ids(organization_id, user_ids)

    async def by_keys(self, organization_id: UUID, keys: Sequence[UserKey]) -> Sequence[Match]:
        """Find the users that match each key."""
        return await self._reads.by_keys(organization_id, keys)

    async def get(
        self, organization_id: UUID, user_id: UUID, groups: GroupView | None = None
    ) -> User:
        """Read a user, with `groups` if given. Refuses USER_NOT_FOUND."""
        return await self._reads.get(organization_id, user_id, groups)

    async def with_groups(self, users: Sequence[User], view: GroupView) -> Sequence[User]:
        """Users of one organization with the groups they are in."""
        return await self._reads.with_groups(users, view)

    async def write(
        self,
        user: User,
        profile: Profile,
        now: datetime,
        origin: Origin,
        *,
        validate_only: bool = False,
    ) -> User | None:
        """Replace the profile of a user. Returns None if the user has changed since it was read.

        Refuses USER_NAME_TAKEN and InvalidField.
        """
        if validate_only:
            async with self._transaction(undo=True) as db:
                return await write(db, user, profile, now, origin)
        update = UserUpdate(user, profile, now, origin)
        if profile.user_name != user.profile.user_name:  # could deadlock with another batch
            return await self._write_one(update)
        return await self._writes.write(user.organization_id, update)

    async def _insert_one(self, new_user: NewUser) -> User:
        async with self._statement() as db:
            return await insert(db, *new_user)

    async def _insert_many(self, new_users: Sequence[NewUser]) -> Sequence[User]:
        async with self._statement() as db:
            return await insert_many(db, new_users)

    async def _write_one(self, update: UserUpdate) -> User | None:
        async with self._statement() as db:
            return await write(db, *update)

    async def _write_many(self, updates: Sequence[UserUpdate]) -> Sequence[User | None]:
        async with self._statement() as db:
            return await write_many(db, updates)

    async def change(
        self,
        organization_id: UUID,
        user_id: UUID,
        decide: DecideProfile,
        new: Extensions,
        *,
        now: datetime,
        origin: Origin,
        validate_only: bool = False,
    ) -> User:
        """Read, decide and write while the user is locked, so that no other writer interferes.

        The schemas of the user's extensions, old and `new`, are locked too. Refuses
        USER_NOT_FOUND, USER_NAME_TAKEN, InvalidField and all refusals of `decide`.
        """
        async with self._transaction(undo=validate_only) as db:
            row = await db.fetchrow(_SELECT_LOCKED, organization_id, user_id)
            if row is None:
                raise Refusal(USER_NOT_FOUND, user_id)
            user = user_rows.user(row)
            urns = user.profile.extensions.keys() | new.keys()
            schemas = await schema_store.lock(db, organization_id, urns) if urns else []
            profile = decide(user, schemas)
            if profile == user.profile:
                return user
            return await write(db, user, profile, now, origin) or user

    async def delete(
        self,
        organization_id: UUID,
        user_id: UUID,
        version: int | None,
        *,
        now: datetime,
        origin: Origin,
        validate_only: bool = False,
    ) -> None:
        """Delete a user, and remove the user from all groups. `version` None matches any version.

        The user's personal data in the log is erased. Digests remain, so that no sign-in creates
        the user again.

        Refuses USER_NOT_FOUND and ETAG_MISMATCH.
        """
        async with self._transaction(undo=validate_only) as db:
            await delete(db, organization_id, user_id, version, now=now, origin=origin)

    async def list(self, query: Query, users: Resource) -> Page[User]:
        """Read a page of the users that satisfy a filter. Refuses as `Lists.page` does."""
        key = key_in_query(query)
        if key is not None:
            match = await self._reads.match(query.organization_id, key)
            if len(match.users) <= 1:
                return Page(list(match.users), None)
        return await self._lists.page(query, users, user_rows.user)

    async def count(self, organization_id: UUID, filter_: Filter | None, users: Resource) -> int:
        """Count the users that satisfy a filter. Refuses as `Lists.count` does."""
        return await self._lists.count(organization_id, filter_, users)

    @asynccontextmanager
    async def _statement(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for a single statement that writes."""
        async with self._database.writer() as db:
            yield db
        self._notifier.notify()

    @asynccontextmanager
    async def _transaction(self, *, undo: bool) -> AsyncIterator[asyncpg.Connection]:
        """A transaction for several statements that write."""
        async with self._database.transaction(rollback=undo) as db:
            yield db
        self._notifier.notify()


async def _get(db: asyncpg.Connection, organization_id: UUID, user_id: UUID) -> User:
    row = await db.fetchrow(SELECT_ONE, organization_id, user_id)
    if row is None:
        raise Refusal(USER_NOT_FOUND, user_id)
    return user_rows.user(row)


# --- statements -------------------------------------------------------------------------

# This lock does not block transactions that add the user to a group.
_SELECT_LOCKED: Final = f"{SELECT_ONE} FOR NO KEY UPDATE"
