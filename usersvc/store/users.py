"""The table of users. Each statement is limited to one organization."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from chassis.batching.writer import BatchWriter
from chassis.concurrency.notifier import Notifier
from chassis.database import arguments as sql
from chassis.database.constraints import Constraints, violations_as_refusals
from chassis.database.pool import Database
from chassis.errors import ETAG_MISMATCH, DatabaseUnavailable, InvalidField, Refusal
from usersvc.domain import changes, extensions, limits, sessions, users
from usersvc.domain.case_folding import fold
from usersvc.domain.changes import ChangeType, Origin
from usersvc.domain.errors import USER_NAME_TAKEN, USER_NOT_FOUND
from usersvc.domain.extensions import Extensions
from usersvc.domain.filters import Filter, Page, Query
from usersvc.domain.idempotency import CreateRequest
from usersvc.domain.lookups import Match, UserKey, key_in_query
from usersvc.domain.schemas import Schema
from usersvc.domain.users import GroupView, Profile, User
from usersvc.store import idempotency, identities
from usersvc.store import schemas as schema_store
from usersvc.store.id_lookups import look_up
from usersvc.store.listing.fields import Resource
from usersvc.store.listing.lists import Lists
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import PROFILE_COLUMNS, ProfileRow
from usersvc.store.shared_reads import SELECT_ONE, SharedReads

DecideProfile: TypeAlias = Callable[[User, Sequence[Schema]], Profile]
"""Returns the new profile of a user, given the user and the schemas of the user's extensions."""

CONSTRAINTS: Final[Constraints] = {
    "users_user_name_key": lambda user_name: Refusal(USER_NAME_TAKEN, user_name),
    "users_user_name_size": lambda _: InvalidField("user_name", limits.TOO_LONG_FOLDED),
    "users_external_id_size": lambda _: InvalidField("external_id", limits.TOO_LONG_FOLDED),
    "users_display_name_size": lambda _: InvalidField("display_name", limits.TOO_LONG_FOLDED),
}
"""The refusals by constraint. Their argument is the user name."""


BATCH_WRITES: Final = 8
"""The most writes of a transaction. Larger batches would hardly cost less and keep locks longer."""


class NewUser(NamedTuple):
    """A user to add."""

    organization_id: UUID
    profile: Profile
    now: datetime
    origin: Origin


class UserUpdate(NamedTuple):
    """A user as it was read, and its new profile."""

    user: User
    profile: Profile
    now: datetime
    origin: Origin


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


async def insert(
    db: asyncpg.Connection,
    organization_id: UUID,
    profile: Profile,
    now: datetime,
    origin: Origin,
) -> User:
    """Add a user without extensions, in the caller's transaction. Refuses as `create` does.

    The caller notifies the notifier after the commit.
    """
    new_user = NewUser(organization_id, profile, now, origin)
    with violations_as_refusals(CONSTRAINTS, profile.user_name):
        user_id = await db.fetchval(_INSERT, *_insert_arguments(new_user))
    return User(organization_id, user_id, 1, now, now, profile)


async def insert_many(db: asyncpg.Connection, new_users: Sequence[NewUser]) -> Sequence[User]:
    """Add all or none of some users without extensions, in one transaction.

    The names are locked in one order, so that two calls do not wait for each other.
    """
    order = sorted(range(len(new_users)), key=lambda each: fold(new_users[each].profile.user_name))
    rows = await db.fetchmany(_INSERT, [_insert_arguments(new_users[each]) for each in order])
    ids = {index: row["user_id"] for index, row in zip(order, rows, strict=True)}
    return [
        User(each.organization_id, ids[index], 1, each.now, each.now, each.profile)
        for index, each in enumerate(new_users)
    ]


def _insert_arguments(new_user: NewUser) -> Sequence[object]:
    profile, origin = new_user.profile, new_user.origin
    return (
        *_InsertArguments(
            organization_id=new_user.organization_id,
            now=new_user.now,
            assigned_fields=changes.assigned_fields(profile),
            request_id=origin.request_id,
            key_id=origin.key_id,
            client=origin.client,
        ),
        *user_rows.columns(profile),
    )


async def write(
    db: asyncpg.Connection, user: User, profile: Profile, now: datetime, origin: Origin
) -> User | None:
    """Replace a user's profile, in the caller's transaction. Refuses as `UserStore.write` does.

    The caller notifies the notifier after the commit.
    """
    update = UserUpdate(user, profile, now, origin)
    with violations_as_refusals(CONSTRAINTS, profile.user_name):
        version = await db.fetchval(_UPDATE, *_update_arguments(update))
    return _updated(update, version)


async def write_many(
    db: asyncpg.Connection, updates: Sequence[UserUpdate]
) -> Sequence[User | None]:
    """Replace all or none of some profiles without a new user name, in one transaction.

    The users are locked in one order, so that two calls do not wait for each other.
    """
    order = sorted(range(len(updates)), key=lambda each: updates[each].user.user_id)
    rows = await db.fetchmany(_UPDATE, [_update_arguments(updates[each]) for each in order])
    versions = {index: row["version"] for index, row in zip(order, rows, strict=True)}
    return [_updated(each, versions[index]) for index, each in enumerate(updates)]


def _update_arguments(update: UserUpdate) -> Sequence[object]:
    user, profile, now, origin = update
    differing = changes.difference(user.profile, profile)
    return (
        *_UpdateArguments(
            organization_id=user.organization_id,
            user_id=user.user_id,
            version=user.version,
            now=now,
            type=changes.update_type(user.profile, profile),
            fields=differing.fields,
            old_values=differing.old,
            new_values=differing.new,
            request_id=origin.request_id,
            key_id=origin.key_id,
            client=origin.client,
            loses_administrator=users.administers(user.profile) and not users.administers(profile),
        ),
        *user_rows.columns(profile),
    )


def _updated(update: UserUpdate, version: int | None) -> User | None:
    """The user after an update; None if the update did not find the version."""
    if version is None:
        return None
    user, profile, now, _ = update
    return User(user.organization_id, user.user_id, version, user.create_time, now, profile)


async def delete(
    db: asyncpg.Connection,
    organization_id: UUID,
    user_id: UUID,
    version: int | None,
    *,
    now: datetime,
    origin: Origin,
) -> None:
    """Remove a user, in the caller's transaction. Refuses as `UserStore.delete` does.

    The caller notifies the notifier after the commit.
    """
    # From here on, no transaction can add the user to a group.
    row = await db.fetchrow(_LOCK_TO_DELETE, organization_id, user_id)
    if row is None:
        raise Refusal(USER_NOT_FOUND, user_id)
    if version not in (None, row["version"]):
        raise Refusal(ETAG_MISMATCH, str(row["version"]))
    arguments = (organization_id, user_id, now, origin.request_id, origin.key_id, origin.client)
    await _erase_refusals(db, organization_id, user_id)
    await db.execute(_ERASE_LOG, organization_id, user_id)
    names = sessions.identifiers_of_deleted(row["user_name"], row["external_id"] or "")
    await identities.remember_deleted(db, organization_id, user_id, names, now)
    await db.execute(_LEAVE_GROUPS, *arguments)
    await db.execute(_DELETE, *arguments, row["administrator"])


async def _erase_refusals(db: asyncpg.Connection, organization_id: UUID, user_id: UUID) -> None:
    """Erase the personal data in the refused requests about a user. Most users have none."""
    found = await db.fetch(_REFUSALS_ABOUT, organization_id, user_id)
    if found:
        numbers = [(organization_id, row["number"]) for row in found]
        await db.executemany(_ERASE_REFUSAL, numbers)


# --- statements -------------------------------------------------------------------------

# This lock does not block transactions that add the user to a group.
_SELECT_LOCKED: Final = f"{SELECT_ONE} FOR NO KEY UPDATE"

_LOCK_TO_DELETE: Final = """
    SELECT version, user_name, external_id,
           coalesce(active AND has_role(roles, 'Administrator'), false) AS administrator
      FROM users
     WHERE organization_id = $1 AND user_id = $2
       FOR UPDATE
"""

# True if no other active administrator exists.
_LAST_ADMINISTRATOR: Final = """
    NOT EXISTS (SELECT
                  FROM users
                 WHERE organization_id = {organization} AND user_id <> {user} AND active
                   AND roles IS NOT NULL AND has_role(roles, 'Administrator'))
"""

# Erases the personal data in the changes of this user.
_ERASE_LOG: Final = """
    UPDATE changes
       SET resource_name = NULL, old_values = NULL, new_values = NULL
     WHERE organization_id = $1 AND resource_id = $2
"""

# Matches by the id and by every name and address of the person, current or former. OFFSET 0 makes
# the planner use the index of `mentions`; otherwise it reads all refusals of the organization. The
# index has the default collation, and names have another one.
_REFUSALS_ABOUT: Final = """
    SELECT number
      FROM refusals
     WHERE organization_id = $1 AND resource_id = $2
     UNION
    SELECT number
      FROM (SELECT organization_id, number
              FROM refusals
             WHERE mentions && ARRAY(SELECT fold(user_name)
                                       FROM users
                                      WHERE organization_id = $1 AND user_id = $2
                                     UNION
                                     SELECT fold(email ->> 'value')
                                       FROM users, jsonb_array_elements(emails) AS email
                                      WHERE organization_id = $1 AND user_id = $2
                                     UNION
                                     SELECT fold(resource_name)
                                       FROM changes
                                      WHERE organization_id = $1 AND resource_id = $2
                                        AND resource_name IS NOT NULL) COLLATE "default"
            OFFSET 0) AS mentioned
     WHERE organization_id = $1
     ORDER BY number
"""

_ERASE_REFUSAL: Final = """
    UPDATE refusals
       SET resource_name = NULL, target = '', body = '', detail = '', mentions = '{}'
     WHERE organization_id = $1 AND number = $2
"""

_GROUPS_OF_USER: Final = """
    (SELECT group_id FROM group_users WHERE organization_id = $1 AND user_id = $2)
"""

_LEAVE_GROUPS: Final = f"""
    WITH locked AS MATERIALIZED (
        {look_up("group_id", "groups", "group_id", _GROUPS_OF_USER, "FOR NO KEY UPDATE")}
    ), left_group AS (
        DELETE FROM group_users
         WHERE organization_id = $1 AND user_id = $2
           AND group_id = ANY(ARRAY(SELECT group_id FROM locked))
        RETURNING group_id
    ), changed AS (
        UPDATE groups
           SET version = version + 1, update_time = $3
          FROM left_group
         WHERE groups.organization_id = $1 AND groups.group_id = left_group.group_id
        RETURNING groups.group_id, version, display_name
    )
    INSERT INTO changes
        (organization_id, number, type, resource_id, version, user_ids, create_time, request_id,
         key_id, client, resource_name)
    SELECT $1, next_change(), 10, group_id, version, ARRAY[$2::uuid], $3, $4, $5, $6, display_name
      FROM (SELECT * FROM changed ORDER BY group_id) AS changed
"""  # noqa: S608

_DELETE: Final = f"""
    WITH deleted AS (
        DELETE FROM users WHERE organization_id = $1 AND user_id = $2 RETURNING user_id
    )
    INSERT INTO changes
        (organization_id, number, type, resource_id, create_time, request_id, key_id,
         client, last_administrator_lost)
    SELECT $1, next_change(), 5, user_id, $3, $4, $5, $6,
           $7 AND {_LAST_ADMINISTRATOR.format(organization="$1", user="$2")}
      FROM deleted
"""  # noqa: S608


class _InsertArguments(NamedTuple):
    """The arguments before the columns of the profile."""

    organization_id: UUID
    now: datetime
    assigned_fields: Sequence[str]
    request_id: str
    key_id: UUID | None
    client: str


class _UpdateArguments(NamedTuple):
    """The arguments before the columns of the profile."""

    organization_id: UUID
    user_id: UUID
    version: int
    now: datetime
    type: ChangeType
    fields: Sequence[str]
    old_values: Sequence[str | None]
    new_values: Sequence[str | None]
    request_id: str
    key_id: UUID | None
    client: str
    loses_administrator: bool


_INSERT: Final = sql.number_arguments(
    f"""
    WITH created AS (
        INSERT INTO users (organization_id, create_time, update_time, {PROFILE_COLUMNS})
        VALUES (:organization_id, :now, :now, {sql.argument_list(ProfileRow._fields)})
        RETURNING user_id
    ), logged AS (
        INSERT INTO changes
            (organization_id, number, type, resource_id, version, fields, active, create_time,
             request_id, key_id, client, resource_name)
        SELECT :organization_id, next_change(), 1, user_id, 1, :assigned_fields, :active IS TRUE,
               :now, :request_id, :key_id, :client, :user_name
          FROM created
    )
    SELECT user_id FROM created
    """,  # noqa: S608
    (*_InsertArguments._fields, *ProfileRow._fields),
)

_UPDATE: Final = sql.number_arguments(
    f"""
    WITH written AS (
        UPDATE users
           SET version = version + 1, update_time = :now,
               ({PROFILE_COLUMNS}) = ROW ({sql.argument_list(ProfileRow._fields)})
         WHERE organization_id = :organization_id AND user_id = :user_id AND version = :version
        RETURNING version
    ), logged AS (
        INSERT INTO changes
            (organization_id, number, type, resource_id, version, fields, active, create_time,
             request_id, key_id, client, resource_name, old_values, new_values,
             last_administrator_lost)
        SELECT :organization_id, next_change(), :type, :user_id, version, :fields, :active IS TRUE,
               :now, :request_id, :key_id, :client, :user_name, :old_values, :new_values,
               :loses_administrator
               AND {_LAST_ADMINISTRATOR.format(organization=":organization_id", user=":user_id")}
          FROM written
    )
    SELECT (SELECT version FROM written) AS version -- a row for each update of a batch
    """,  # noqa: S608
    (*_UpdateArguments._fields, *ProfileRow._fields),
)
