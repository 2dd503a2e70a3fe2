"""The table of users. Each of its statements names the organization first."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from chassis.database import Database
from usersvc import filter_sql, user_rows
from usersvc.errors import UserNotFound, of_constraint
from usersvc.filter_sql import Where
from usersvc.filters import Filter, Position, Query
from usersvc.users import Profile, User


@dataclass(frozen=True, slots=True)
class Page:
    """Users in their order, and where the next page begins, if there is one."""

    users: list[User]
    next: Position | None


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

    async def list(self, query: Query) -> Page:
        """A page of the users that satisfy a filter. Refuses UnknownField and InvalidFilter."""
        where = Where(query.organization_id)
        statement = page_statement(where, query)
        async with self._database.connection() as db:
            rows = await db.fetch(statement, *where.arguments)
        more = len(rows) > query.size
        last = rows[query.size - 1] if more else None
        return Page(
            [user_rows.user(row) for row in rows[: query.size]],
            Position(last["order_key"], last["user_id"]) if last else None,
        )

    async def count(self, organization_id: UUID, filter_: Filter | None) -> int:
        """How many users satisfy a filter. Refuses UnknownField and InvalidFilter."""
        where = Where(organization_id)
        condition = _conditions(where, filter_)
        async with self._database.connection() as db:
            statement = f"SELECT count(*) FROM users WHERE {condition}"  # noqa: S608
            count: int = await db.fetchval(statement, *where.arguments)
        return count


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

_PROFILE: Final = """
    user_name, external_id, active,
    name_formatted, family_name, given_name, middle_name, honorific_prefix, honorific_suffix,
    display_name, nick_name, profile_url, title, user_type, preferred_language, locale, timezone,
    emails, phone_numbers, ims, photos, addresses, entitlements, roles, x509_certificates,
    employee_number, cost_center, enterprise_organization, division, department, manager_value
"""
_USER: Final = f"organization_id, user_id, version, create_time, update_time, {_PROFILE}"

_PROFILE_ARGUMENTS: Final = """
    $3, $4, $5,
    $6, $7, $8, $9, $10, $11,
    $12, $13, $14, $15, $16, $17, $18, $19,
    $20, $21, $22, $23, $24, $25, $26, $27,
    $28, $29, $30, $31, $32, $33
"""

_SELECT_ONE: Final = f"SELECT {_USER} FROM users WHERE organization_id = $1 AND user_id = $2"  # noqa: S608

_SELECT_LOCKED: Final = f"{_SELECT_ONE} FOR UPDATE"

_INSERT: Final = f"""
    INSERT INTO users (organization_id, create_time, update_time, {_PROFILE})
    VALUES ($1, $2, $2, {_PROFILE_ARGUMENTS})
    RETURNING user_id
"""  # noqa: S608

_UPDATE: Final = f"""
    UPDATE users
       SET version = version + 1, update_time = $2, ({_PROFILE}) = ROW ({_PROFILE_ARGUMENTS})
     WHERE organization_id = $1 AND user_id = $34 AND version = $35
    RETURNING version
"""  # noqa: S608


def page_statement(where: Where, query: Query) -> str:
    """One user more than the page holds tells whether there is another page."""
    conditions = _conditions(where, query.filter)
    if query.after is not None:
        conditions += f" AND {where.behind(query.order, query.after)}"
    return f"""
        SELECT {_USER}, {filter_sql.order_key(query.order)} AS order_key
          FROM users
         WHERE {conditions}
         ORDER BY {filter_sql.order_by(query.order)}
         LIMIT {where.argument(query.size + 1)} OFFSET {where.argument(query.skip)}
    """  # noqa: S608


def _conditions(where: Where, filter_: Filter | None) -> str:
    if filter_ is None:
        return "organization_id = $1"
    return f"organization_id = $1 AND {where.condition(filter_)}"
