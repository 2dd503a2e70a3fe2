"""Creation and replacement of users, each one statement that also writes the change feed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from chassis.database import arguments as sql
from chassis.database.constraints import Constraints, violations_as_refusals
from chassis.errors import InvalidField, Refusal
from usersvc.domain import changes, limits, users
from usersvc.domain.case_folding import fold
from usersvc.domain.changes import ChangeType, Origin
from usersvc.domain.errors import USER_NAME_TAKEN
from usersvc.domain.users import Profile, User
from usersvc.store.rows import user as user_rows
from usersvc.store.rows.user import PROFILE_COLUMNS, ProfileRow

CONSTRAINTS: Final[Constraints] = {
    "users_user_name_key": lambda user_name: Refusal(USER_NAME_TAKEN, user_name),
    "users_user_name_size": lambda _: InvalidField("user_name", limits.TOO_LONG_FOLDED),
    "users_external_id_size": lambda _: InvalidField("external_id", limits.TOO_LONG_FOLDED),
    "users_display_name_size": lambda _: InvalidField("display_name", limits.TOO_LONG_FOLDED),
}
"""The refusals by constraint. Their argument is the user name."""


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


# --- statements -------------------------------------------------------------------------

# True if no other active administrator exists.
LAST_ADMINISTRATOR: Final = """
    NOT EXISTS (SELECT
                  FROM users
                 WHERE organization_id = {organization} AND user_id <> {user} AND active
                   AND roles IS NOT NULL AND has_role(roles, 'Administrator'))
"""


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
               AND {LAST_ADMINISTRATOR.format(organization=":organization_id", user=":user_id")}
          FROM written
    )
    SELECT (SELECT version FROM written) AS version -- a row for each update of a batch
    """,  # noqa: S608
    (*_UpdateArguments._fields, *ProfileRow._fields),
)
