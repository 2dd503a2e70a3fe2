"""The table of users. Each of its statements names the organization first."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database import Database
from usersvc import list_sql, list_store, user_rows
from usersvc.errors import UserNotFound, of_constraint
from usersvc.filter_sql import Where
from usersvc.filters import Filter, Page, Query
from usersvc.user_fields import USERS
from usersvc.user_rows import COLUMNS, PROFILE_COLUMNS
from usersvc.users import Profile, User


class UserStore:
    """Reads and writes users. An organization never sees another's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, organization_id: UUID, profile: Profile, now: datetime) -> User:
        """Add a user. Refuses UserNameTaken and InvalidField."""
        async with self._database.connection() as db:
            try:
                user_id = await db.fetchval(
                    _INSERT,
                    organization_id, now, *user_rows.columns(profile),
                )  # fmt: skip
            except asyncpg.IntegrityConstraintViolationError as error:
                raise _refusal(error, profile) from error
        return User(organization_id, user_id, 1, now, now, profile)

    async def get(self, organization_id: UUID, user_id: UUID) -> User:
        """Read a user. Refuses UserNotFound."""
        async with self._database.connection() as db:
            row = await db.fetchrow(_SELECT_ONE, organization_id, user_id)
        if row is None:
            raise UserNotFound(user_id)
        return user_rows.user(row)

    async def write(self, user: User, profile: Profile, now: datetime) -> User | None:
        """Give a user a new profile; None if it is no longer as it was read.

        Refuses UserNameTaken and InvalidField.
        """
        async with self._database.connection() as db:
            return await _write(db, user, profile, now)

    async def change(
        self,
        organization_id: UUID,
        user_id: UUID,
        decide: Callable[[Profile], Profile],
        now: datetime,
    ) -> User:
        """Read, decide and write with the user locked: nobody else can be in between.

        Refuses UserNotFound, UserNameTaken and InvalidField.
        """
        async with self._database.transaction() as db:
            row = await db.fetchrow(_SELECT_LOCKED, organization_id, user_id)
            if row is None:
                raise UserNotFound(user_id)
            user = user_rows.user(row)
            profile = decide(user.profile)
            if profile == user.profile:
                return user
            return await _write(db, user, profile, now) or user

    async def delete(self, organization_id: UUID, user_id: UUID, version: int | None) -> bool:
        """Remove a user that has a version, or any; whether there was one."""
        async with self._database.connection() as db:
            deleted = await db.fetchval(
                """
                DELETE FROM users
                 WHERE organization_id = $1 AND user_id = $2
                   AND ($3::bigint IS NULL OR version = $3)
                RETURNING version
                """,
                organization_id, user_id, version,
            )  # fmt: skip
        return deleted is not None

    async def list(self, query: Query) -> Page[User]:
        """A page of the users that satisfy a filter. Refuses UnknownField and InvalidFilter."""
        return await list_store.page(self._database, query, USERS, user_rows.user)

    async def count(self, organization_id: UUID, filter_: Filter | None) -> int:
        """How many users satisfy a filter. Refuses UnknownField and InvalidFilter."""
        return await list_store.count(self._database, organization_id, filter_, USERS)


async def _write(
    db: asyncpg.Connection, user: User, profile: Profile, now: datetime
) -> User | None:
    try:
        version = await db.fetchval(
            _UPDATE,
            user.organization_id, now, *user_rows.columns(profile), user.user_id, user.version,
        )  # fmt: skip
    except asyncpg.IntegrityConstraintViolationError as error:
        raise _refusal(error, profile) from error
    if version is None:
        return None
    return User(user.organization_id, user.user_id, version, user.create_time, now, profile)


def _refusal(error: asyncpg.IntegrityConstraintViolationError, profile: Profile) -> Exception:
    return of_constraint(error.constraint_name, profile.user_name) or error


# --- statements -------------------------------------------------------------------------

_PROFILE_ARGUMENTS: Final = """
    $3, $4, $5,
    $6, $7, $8, $9, $10, $11,
    $12, $13, $14, $15, $16, $17, $18, $19,
    $20, $21, $22, $23, $24, $25, $26, $27,
    $28, $29, $30, $31, $32, $33
"""

_SELECT_ONE: Final = f"SELECT {COLUMNS} FROM users WHERE organization_id = $1 AND user_id = $2"  # noqa: S608

_SELECT_LOCKED: Final = f"{_SELECT_ONE} FOR UPDATE"

_INSERT: Final = f"""
    INSERT INTO users (organization_id, create_time, update_time, {PROFILE_COLUMNS})
    VALUES ($1, $2, $2, {_PROFILE_ARGUMENTS})
    RETURNING user_id
"""  # noqa: S608

_UPDATE: Final = f"""
    UPDATE users
       SET version = version + 1, update_time = $2, ({PROFILE_COLUMNS}) = ROW ({_PROFILE_ARGUMENTS})
     WHERE organization_id = $1 AND user_id = $34 AND version = $35
    RETURNING version
"""  # noqa: S608


def page_statement(where: Where, query: Query) -> str:
    """What reads a page of users."""
    return list_sql.page_statement(where, query, USERS)
