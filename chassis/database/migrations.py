"""Schema migrations: numbered SQL files, each applied once and in order.

`NNNN_what.sql` is applied in a transaction of its own. It must leave the schema usable by the
previous release, which still serves requests while the file is applied.

`NNNN_what.concurrent.sql` is one statement that PostgreSQL does not allow in a transaction:
`CREATE [UNIQUE] INDEX CONCURRENTLY name ON …`, which does not block writers, or
`DROP INDEX CONCURRENTLY IF EXISTS name`. If a run is interrupted, the next run drops the invalid
index that it left and builds it again.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from chassis.database import identity
from chassis.database.connection import Connection
from chassis.database.identity import Owner
from chassis.startup import StartError

LOCK: Final = 0x6D696772  # "migr"; one key suffices, because each database has its own locks
POLL_SECONDS: Final = 0.2
"""The interval between two attempts to get the lock of another run."""
CONCURRENT_LOCK_TIMEOUT: Final = "10min"
"""How long a concurrent migration waits for older transactions. It does not block writers."""
_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+(?:\.concurrent)?\.sql")
_CONCURRENT: Final = re.compile(
    r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?P<created>[a-z_][a-z0-9_]*) ON [^;]+"
    r"|DROP INDEX CONCURRENTLY IF EXISTS [a-z_][a-z0-9_]*"
)


class MigrationError(StartError):
    """A migration is invalid or failed. The schema is as it was before that migration."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file."""

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """The digest of the file, which shows whether an applied file was changed later."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def is_concurrent(self) -> bool:
        """Whether it must run outside a transaction."""
        return self.name.endswith(".concurrent.sql")

    @property
    def created_index(self) -> str:
        """The name of the index that a concurrent migration creates; empty if it drops one.

        Refuses (MigrationError) SQL that is not exactly one of the two allowed statements.
        """
        lines = [line for line in self.sql.splitlines() if not line.startswith("--")]
        match = _CONCURRENT.fullmatch("\n".join(lines).strip().removesuffix(";"))
        if match is None:
            raise MigrationError(
                f"{self.name}: not one statement of the form CREATE [UNIQUE] INDEX CONCURRENTLY "
                "name ON … or DROP INDEX CONCURRENTLY IF EXISTS name"
            )
        return match["created"] or ""


def read(directory: Path) -> list[Migration]:
    """The migrations of a folder, in order.

    Refuses (MigrationError) a folder without migrations, other file names than `NNNN_what.sql`, and
    gaps in the numbers.
    """
    migrations = [_read_file(path) for path in sorted(directory.glob("*.sql"))]
    if not migrations:
        raise MigrationError(f"{directory}: the folder has no migrations")
    if [migration.version for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError(f"{directory}: the files are not numbered 0001, 0002, …")
    return migrations


async def apply(
    dsn: str, migrations: list[Migration], owner: Owner | None = None
) -> list[Migration]:
    """Apply the migrations that a database lacks, and return them. Safe to run concurrently.

    Waits for another run to end. Gives up (MigrationError) on a table that stays locked for 5
    seconds, because all its users would queue behind the migration. Refuses (StartError) a schema
    that is newer than the migrations, and, if `owner` is given, the database of another owner.
    """
    try:
        connection = await asyncpg.connect(
            dsn, connection_class=Connection, server_settings={"lock_timeout": "5s"}
        )
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(f"cannot connect to the database: {error}") from error
    try:
        await _lock(connection)
        if owner is not None:
            await identity.check_owner(connection, owner)
        applied = await _apply_missing(connection, migrations)
        if owner is not None:
            await identity.claim(connection, owner)
        return applied
    finally:
        await connection.close()


async def _lock(connection: asyncpg.Connection) -> None:
    """Take a session-level advisory lock; wait while another run holds it.

    Polls, because a statement that waits for the lock keeps a snapshot, and CREATE INDEX
    CONCURRENTLY in the run that holds the lock waits for all older snapshots: a deadlock.
    """
    while not await connection.fetchval(  # noqa: ASYNC110 - another process holds the lock
        "SELECT pg_try_advisory_lock($1)", LOCK
    ):
        await asyncio.sleep(POLL_SECONDS)


async def _apply_missing(
    connection: asyncpg.Connection, migrations: list[Migration]
) -> list[Migration]:
    await connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migration (
            version    integer     NOT NULL,
            name       text        NOT NULL,
            digest     text        NOT NULL,
            apply_time timestamptz DEFAULT now(),  -- NULL until a concurrent migration is complete
            CONSTRAINT schema_migration_pkey PRIMARY KEY (version)
        )
        """
    )
    rows = await connection.fetch("SELECT version, name, digest, apply_time FROM schema_migration")
    _check_begun({row["version"]: row["name"] for row in rows}, migrations)
    applied = {row["version"]: row["digest"] for row in rows if row["apply_time"] is not None}
    for migration in migrations:
        if applied.get(migration.version, migration.digest) != migration.digest:
            raise MigrationError(f"{migration.name} was changed after it was applied")
    missing = [migration for migration in migrations if migration.version not in applied]
    for migration in missing:
        apply_one = _apply_concurrently if migration.is_concurrent else _apply_one
        try:
            await apply_one(connection, migration)
        except asyncpg.PostgresError as error:
            raise MigrationError(f"{migration.name}: {error}") from error
    return missing


def _check_begun(begun: Mapping[int, str], migrations: list[Migration]) -> None:
    """Refuse the schema of another service, and one that is newer than the migrations."""
    first, last = migrations[0], migrations[-1]
    if begun.get(first.version, first.name) != first.name:
        raise MigrationError(
            f"the database belongs to another service: its first migration is "
            f"{begun[first.version]}, not {first.name}"
        )
    newest = max(begun, default=0)
    if newest > last.version:
        raise MigrationError(
            f"the schema is newer than this release: it has {begun[newest]}, and this release ends "
            f"with {last.name}. Run `migrate` of the newer release; a rollback needs none"
        )


async def _apply_one(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO schema_migration (version, name, digest) VALUES ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.digest,
        )


async def _apply_concurrently(connection: asyncpg.Connection, migration: Migration) -> None:
    """Apply a statement outside a transaction, in a way that the next run can resume.

    A row without `apply_time` records that the migration has begun. With that row, an existing
    index of its name is the rest of an interrupted run and is dropped. Without it, the index is
    another one: it stays, and CREATE INDEX fails.
    """
    index = migration.created_index
    is_resumed = not await _begin(connection, migration)
    await connection.execute(f"SET lock_timeout = '{CONCURRENT_LOCK_TIMEOUT}'")
    await connection.execute("SET statement_timeout = 0")
    if index and is_resumed:
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
    try:
        await connection.execute(migration.sql)
    except asyncpg.DuplicateTableError:  # another index has this name; it stays
        await _forget(connection, migration)
        raise
    except asyncpg.PostgresError:
        # An invalid unique index would still reject duplicates.
        if index:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
        raise
    await connection.execute(
        "UPDATE schema_migration SET apply_time = now() WHERE version = $1", migration.version
    )
    await connection.execute("RESET statement_timeout")
    await connection.execute("SET lock_timeout = '5s'")


async def _begin(connection: asyncpg.Connection, migration: Migration) -> bool:
    """Record that a concurrent migration begins. Returns False if it had begun before."""
    # Older releases created the column as NOT NULL.
    is_required = await connection.fetchval(
        """
        SELECT attnotnull
          FROM pg_attribute
         WHERE attrelid = 'schema_migration'::regclass AND attname = 'apply_time'
        """
    )
    if is_required:
        await connection.execute(
            "ALTER TABLE schema_migration ALTER COLUMN apply_time DROP NOT NULL"
        )
    is_new: bool = await connection.fetchval(
        """
        INSERT INTO schema_migration (version, name, digest, apply_time)
        VALUES ($1, $2, $3, NULL)
        ON CONFLICT ON CONSTRAINT schema_migration_pkey
           DO UPDATE SET name = excluded.name, digest = excluded.digest
        RETURNING xmax = 0
        """,
        migration.version,
        migration.name,
        migration.digest,
    )
    return is_new


async def _forget(connection: asyncpg.Connection, migration: Migration) -> None:
    await connection.execute(
        "DELETE FROM schema_migration WHERE version = $1 AND apply_time IS NULL", migration.version
    )


def _read_file(path: Path) -> Migration:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise MigrationError(f"{path.name}: the name is not of the form 0001_what.sql")
    migration = Migration(int(match[1]), path.name, path.read_text())
    if migration.is_concurrent:
        _ = migration.created_index  # refuses other statements before any migration is applied
    return migration
