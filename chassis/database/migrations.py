"""A database's schema, brought forward by numbered SQL files.

`NNNN_what.sql`, each applied once, in order, in a transaction of its own. A
file must leave the schema usable by the release before it, which still serves
while it is applied.

`NNNN_what.concurrent.sql` is one statement that PostgreSQL allows in no
transaction: `CREATE [UNIQUE] INDEX CONCURRENTLY name ON …`, which does not block
writers, or `DROP INDEX CONCURRENTLY IF EXISTS name`. What a run that was
interrupted has left behind is dropped and built anew by the next run.
"""

import asyncio
import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from chassis.startup import StartError

LOCK: Final = 0x6D696772  # "migr": the same for all, since each database has its own locks
POLL_SECONDS: Final = 0.2
"""How often a run asks whether another one has ended."""
CONCURRENT_LOCK_TIMEOUT: Final = "10min"
"""How long a concurrent step waits for transactions that began before it; it blocks no writer."""
_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+(?:\.concurrent)?\.sql")
_CONCURRENT: Final = re.compile(
    r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?P<created>[a-z_][a-z0-9_]*) ON [^;]+"
    r"|DROP INDEX CONCURRENTLY IF EXISTS [a-z_][a-z0-9_]*"
)


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

    @property
    def is_concurrent(self) -> bool:
        """Whether it must run outside a transaction."""
        return self.name.endswith(".concurrent.sql")

    @property
    def created_index(self) -> str:
        """The index that a concurrent migration creates; empty if it drops one.

        Refuses (MigrationError) SQL that is not exactly one of the two statements.
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
        await _lock(connection)
        return await _apply_missing(connection, migrations)
    finally:
        await connection.close()


async def _lock(connection: asyncpg.Connection) -> None:
    """Wait for another run to end; the lock is the session's, not a transaction's.

    Each attempt is a statement of its own. One that waited would keep a snapshot meanwhile, and
    CREATE INDEX CONCURRENTLY waits for all older snapshots: the run that has the lock would wait
    for the one that wants it.
    """
    while not await connection.fetchval(  # noqa: ASYNC110 - another process has the lock
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
            apply_time timestamptz DEFAULT now(),  -- NULL while a concurrent step is not complete
            CONSTRAINT schema_migration_pkey PRIMARY KEY (version)
        )
        """
    )
    rows = await connection.fetch(
        "SELECT version, digest FROM schema_migration WHERE apply_time IS NOT NULL"
    )
    applied = {row["version"]: row["digest"] for row in rows}
    for migration in migrations:
        if applied.get(migration.version, migration.digest) != migration.digest:
            raise MigrationError(f"{migration.name} was changed after it had been applied")
    missing = [migration for migration in migrations if migration.version not in applied]
    for migration in missing:
        apply_one = _apply_concurrently if migration.is_concurrent else _apply_one
        try:
            await apply_one(connection, migration)
        except asyncpg.PostgresError as error:
            raise MigrationError(f"{migration.name}: {error}") from error
    return missing


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
    """Apply a statement outside a transaction, so that the next run can resume it.

    Its row says first that it has begun. Only then may an index of its name be one that an
    interrupted run has left: without the row it is another one, and CREATE INDEX refuses it.
    """
    index = migration.created_index
    resumed = not await _begin(connection, migration)
    await connection.execute(f"SET lock_timeout = '{CONCURRENT_LOCK_TIMEOUT}'")
    await connection.execute("SET statement_timeout = 0")
    if index and resumed:
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
    try:
        await connection.execute(migration.sql)
    except asyncpg.DuplicateTableError:  # another index, which stays
        await _forget(connection, migration)
        raise
    except asyncpg.PostgresError:
        # An invalid unique index would go on to refuse what it holds twice.
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
    """Record that a concurrent step has begun; whether it had not been begun before."""
    # Until a table has its first concurrent step, the column is as an older release made it.
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
        raise MigrationError(f"{path.name}: not a name like 0001_what.sql")
    migration = Migration(int(match[1]), path.name, path.read_text())
    if migration.is_concurrent:
        _ = migration.created_index  # refuses other statements before anything is applied
    return migration
