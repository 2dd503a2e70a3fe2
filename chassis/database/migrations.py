"""A database's schema, brought forward by numbered SQL files.

`NNNN_what.sql`, each applied once, in order, in a transaction of its own. A
file must leave the schema usable by the release before it, which still serves
while it is applied.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from chassis.startup import StartError

LOCK: Final = 0x6D696772  # "migr": the same for all, since each database has its own locks
_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class MigrationError(StartError):
    """The schema cannot be brought forward; the database is as it was before the step."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """What tells whether the file is still the one that was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read(directory: Path) -> list[Migration]:
    """The migrations of a folder in their order.

    Refuses names that are not `NNNN_what.sql` and numbers with gaps.
    """
    migrations = [_read_file(path) for path in sorted(directory.glob("*.sql"))]
    if [migration.version for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError(f"{directory}: the files are not numbered 0001, 0002, …")
    return migrations


async def apply(dsn: str, migrations: list[Migration]) -> list[Migration]:
    """Apply what a database lacks and say what that was; safe to run twice at once.

    Waits for another run to end, and gives up on a table that is locked for
    5 seconds rather than queue all its users behind it.
    """
    try:
        connection = await asyncpg.connect(dsn, server_settings={"lock_timeout": "5s"})
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(f"cannot connect to the database: {error}") from error
    try:
        await connection.execute("SET lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await connection.execute("SET lock_timeout = '5s'")
        return await _apply_missing(connection, migrations)
    finally:
        await connection.close()


async def _apply_missing(
    connection: asyncpg.Connection, migrations: list[Migration]
) -> list[Migration]:
    await connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migration (
            version    integer     NOT NULL,
            name       text        NOT NULL,
            digest     text        NOT NULL,
            apply_time timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT schema_migration_pkey PRIMARY KEY (version)
        )
        """
    )
    rows = await connection.fetch("SELECT version, digest FROM schema_migration")
    applied = {row["version"]: row["digest"] for row in rows}
    for migration in migrations:
        if applied.get(migration.version, migration.digest) != migration.digest:
            raise MigrationError(f"{migration.name} was changed after it had been applied")
    missing = [migration for migration in migrations if migration.version not in applied]
    for migration in missing:
        await _apply_one(connection, migration)
    return missing


async def _apply_one(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migration (version, name, digest) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.digest,
            )
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{migration.name}: {error}") from error


def _read_file(path: Path) -> Migration:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise MigrationError(f"{path.name}: not a name like 0001_what.sql")
    return Migration(int(match[1]), path.name, path.read_text())
