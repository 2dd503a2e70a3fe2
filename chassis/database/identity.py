"""What a database is: its service, its region and its schema, compared before its first use.

A service on the wrong database would answer with errors that look like those of customers, or
write data into the wrong region without any error. Refusals (WrongDatabase) say what to correct.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from chassis.startup import StartError

if TYPE_CHECKING:
    from chassis.database.migrations import Migration


class WrongDatabase(StartError):  # noqa: N818 - a refusal to start
    """The database is not the one that the settings and this release need."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The service and the region to which a database belongs."""

    service: str
    region: str

    @property
    def url_setting(self) -> str:
        """The name of the setting with the database's URL."""
        return f"{self.service.upper()}_DATABASE_URL"

    @property
    def listen_url_setting(self) -> str:
        """The name of the setting with the URL of the connections that use LISTEN."""
        return f"{self.service.upper()}_DATABASE_LISTEN_URL"

    @property
    def migrate_command(self) -> str:
        """The command that brings the schema up to date."""
        return f"`python -m {self.service} migrate`"


async def check_owner(db: asyncpg.Connection, owner: Owner) -> None:
    """Refuse a database of another service or region. One without an owner is accepted."""
    if not await _has_table(db, "database_identity"):
        return
    row = await db.fetchrow("SELECT service, region FROM database_identity")
    if row["service"] != owner.service:
        raise WrongDatabase(
            f"the database belongs to {row['service']}, not to {owner.service}: correct "
            f"{owner.url_setting}"
        )
    if row["region"] not in (None, owner.region):
        raise WrongDatabase(
            f"the database has the data of region {row['region']}, but "
            f"{owner.service.upper()}_REGION is {owner.region}: correct one of "
            f"{owner.service.upper()}_REGION and {owner.url_setting}"
        )


async def claim(db: asyncpg.Connection, owner: Owner) -> None:
    """Store the region of a database that has none yet. Refuses the database of another owner."""
    await check_owner(db, owner)
    if await db.fetchval("SELECT region IS NULL FROM database_identity"):
        await db.execute(
            "UPDATE database_identity SET region = $1 WHERE region IS NULL", owner.region
        )
        await check_owner(db, owner)  # another process may have stored its region first


async def verify(db: asyncpg.Connection, owner: Owner, migrations: Sequence["Migration"]) -> UUID:
    """Check the owner and the schema. Returns the id of the database.

    Refuses a schema without one of the migrations. A newer schema is accepted, because each
    migration works with the previous release.
    """
    try:
        await check_owner(db, owner)
        await _check_schema(db, owner, migrations)
        await claim(db, owner)
        database_id: UUID = await db.fetchval("SELECT database_id FROM database_identity")
    except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedTableError) as error:
        raise not_permitted(owner, error) from error
    return database_id


def not_permitted(owner: Owner, error: asyncpg.PostgresError) -> WrongDatabase:
    """The refusal of a database that the role may not use, or that has other tables."""
    return WrongDatabase(
        f"the database is not one of {owner.service} ({error.args[0]}): correct {owner.url_setting}"
    )


async def _check_schema(
    db: asyncpg.Connection, owner: Owner, migrations: Sequence["Migration"]
) -> None:
    if not await _has_table(db, "schema_migration"):
        raise WrongDatabase(
            f"the database has no schema: correct {owner.url_setting}, or, if the database is new, "
            f"run {owner.migrate_command}"
        )
    rows = await db.fetch("SELECT version, name FROM schema_migration WHERE apply_time IS NOT NULL")
    applied = {row["version"]: row["name"] for row in rows}
    first = migrations[0]
    if applied.get(first.version, first.name) != first.name:
        raise WrongDatabase(
            f"the database belongs to another service than {owner.service}: correct "
            f"{owner.url_setting}"
        )
    missing = [migration.name for migration in migrations if migration.version not in applied]
    if missing:
        raise WrongDatabase(
            f"the schema of the database is older than this release, it lacks {missing[0]}: run "
            f"{owner.migrate_command} of this release"
        )


async def _has_table(db: asyncpg.Connection, name: str) -> bool:
    found: bool = await db.fetchval("SELECT to_regclass($1) IS NOT NULL", name)
    return found
