"""Migrations that run outside a transaction, in a real database with writers beside them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from chassis.database import migrations
from chassis.database.migrations import Migration, MigrationError

TABLE: Final = Migration(1, "0001_table.sql", "CREATE TABLE item (id integer, name text NOT NULL)")
INDEX: Final = Migration(
    2, "0002_index.concurrent.sql", "CREATE INDEX CONCURRENTLY item_name ON item (name);\n"
)
UNIQUE: Final = Migration(
    2, "0002_index.concurrent.sql", "CREATE UNIQUE INDEX CONCURRENTLY item_name ON item (name);\n"
)
DROP: Final = Migration(
    3, "0003_drop.concurrent.sql", "DROP INDEX CONCURRENTLY IF EXISTS item_name;\n"
)


@pytest.fixture
async def db(empty_url: str) -> AsyncIterator[asyncpg.Connection]:
    await migrations.apply(empty_url, [TABLE])
    connection = await asyncpg.connect(empty_url)
    yield connection
    await connection.close()


@asynccontextmanager
async def open_write(url: str) -> AsyncIterator[None]:
    """A transaction with a write, open until the end of the block."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO item VALUES (0, 'open')")
            yield
    finally:
        await connection.close()


async def index_is_valid(db: asyncpg.Connection) -> bool | None:
    """Whether the index is valid; None if it does not exist."""
    return await db.fetchval(
        """
        SELECT indisvalid
          FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
         WHERE relname = 'item_name'
        """
    )


async def recorded(db: asyncpg.Connection) -> dict[int, bool]:
    """The recorded migrations, and whether each is complete."""
    rows = await db.fetch("SELECT version, apply_time IS NOT NULL FROM schema_migration")
    return dict(rows)


async def wait_for_index_build(db: asyncpg.Connection) -> int:
    """Wait until a concurrent step waits for an open transaction; return the pid of its backend."""
    while True:
        pid = await db.fetchval(
            """
            SELECT pid
              FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'CREATE%INDEX CONCURRENTLY%'
               AND wait_event_type = 'Lock'
            """
        )
        if pid is not None:
            return int(pid)


async def wait_for_lock_request(db: asyncpg.Connection) -> None:
    while not await db.fetchval(
        """
        SELECT EXISTS (SELECT FROM pg_stat_activity
                        WHERE datname = current_database() AND pid <> pg_backend_pid()
                          AND query LIKE 'SELECT pg%advisory_lock%')
        """
    ):
        pass


async def test_concurrent_steps_are_applied_once_and_in_order(empty_url, db):
    applied = await migrations.apply(empty_url, [TABLE, INDEX])
    valid = await index_is_valid(db)
    dropped = await migrations.apply(empty_url, [TABLE, INDEX, DROP])

    assert (applied, valid, dropped) == ([INDEX], True, [DROP])
    assert await index_is_valid(db) is None
    assert await recorded(db) == {1: True, 2: True, 3: True}


async def test_writers_are_not_blocked_by_a_concurrent_index(empty_url, db):
    async with open_write(empty_url):
        run = asyncio.create_task(migrations.apply(empty_url, [TABLE, INDEX]))
        await wait_for_index_build(db)
        await db.execute("SET lock_timeout = '1s'")
        await db.execute("INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, 100) AS n")
        await db.execute("UPDATE item SET name = 'renamed' WHERE id = 7")
        assert not run.done()
    await run
    await db.execute("SET enable_seqscan = off")

    assert await index_is_valid(db)
    assert await db.fetchval("SELECT id FROM item WHERE name = 'renamed'") == 7
    assert await db.fetchval("SELECT count(*) FROM item WHERE name >= ''") == 101


async def test_index_of_an_interrupted_run_is_rebuilt(empty_url, db):
    async with open_write(empty_url):
        run = asyncio.create_task(migrations.apply(empty_url, [TABLE, INDEX]))
        await db.execute("SELECT pg_terminate_backend($1)", await wait_for_index_build(db))
        with pytest.raises(MigrationError, match="0002_index"):
            await run
        interrupted = await index_is_valid(db), await recorded(db)

    applied = await migrations.apply(empty_url, [TABLE, INDEX])

    assert interrupted == (False, {1: True, 2: False})
    assert applied == [INDEX]
    assert await index_is_valid(db)
    assert await recorded(db) == {1: True, 2: True}


async def test_index_that_was_built_and_not_recorded_is_rebuilt(empty_url, db):
    await migrations.apply(empty_url, [TABLE, INDEX])
    built = await db.fetchval("SELECT 'item_name'::regclass::oid")
    # The state after a run that ended between the build and its record.
    await db.execute("UPDATE schema_migration SET apply_time = NULL WHERE version = 2")

    applied = await migrations.apply(empty_url, [TABLE, UNIQUE])  # the file was corrected meanwhile

    assert applied == [UNIQUE]
    assert await db.fetchval("SELECT 'item_name'::regclass::oid") != built
    assert await db.fetchval(
        "SELECT indisunique FROM pg_index WHERE indexrelid = $1",
        await db.fetchval("SELECT 'item_name'::regclass::oid"),
    )
    assert await recorded(db) == {1: True, 2: True}


async def test_two_runs_at_once_apply_a_concurrent_step_once(empty_url, db):
    """The waiting run must hold no snapshot: the index build would wait for it (a deadlock)."""
    async with open_write(empty_url):
        first = asyncio.create_task(migrations.apply(empty_url, [TABLE, INDEX]))
        await wait_for_index_build(db)
        second = asyncio.create_task(migrations.apply(empty_url, [TABLE, INDEX]))
        await wait_for_lock_request(db)

    assert sorted(map(len, await asyncio.gather(first, second))) == [0, 1]
    assert await index_is_valid(db)


async def test_unique_index_that_fails_is_removed_and_can_be_tried_again(empty_url, db):
    await db.execute("INSERT INTO item VALUES (1, 'ann'), (2, 'ann')")
    with pytest.raises(MigrationError, match="0002_index"):
        await migrations.apply(empty_url, [TABLE, UNIQUE])
    after_failure = await index_is_valid(db)
    await db.execute("DELETE FROM item WHERE id = 2")

    assert after_failure is None
    assert await migrations.apply(empty_url, [TABLE, UNIQUE]) == [UNIQUE]
    assert await index_is_valid(db)


async def test_unrelated_index_of_the_same_name_stays(empty_url, db):
    await db.execute("CREATE INDEX item_name ON item (id)")
    before = await db.fetchval("SELECT 'item_name'::regclass::oid")
    for _ in range(2):
        with pytest.raises(MigrationError, match="already exists"):
            await migrations.apply(empty_url, [TABLE, INDEX])

    assert await db.fetchval("SELECT 'item_name'::regclass::oid") == before
    assert await recorded(db) == {1: True}


async def test_table_of_an_older_release_accepts_a_concurrent_step(empty_url, db):
    await db.execute("ALTER TABLE schema_migration ALTER COLUMN apply_time SET NOT NULL")

    assert await migrations.apply(empty_url, [TABLE, INDEX]) == [INDEX]
    assert await recorded(db) == {1: True, 2: True}


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "CREATE INDEX item_name ON item (name);",
        "CREATE INDEX CONCURRENTLY ON item (name);",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS item_name ON item (name);",
        "CREATE INDEX CONCURRENTLY a ON item (name); CREATE INDEX CONCURRENTLY b ON item (id);",
        "DROP INDEX CONCURRENTLY item_name;",
        "VACUUM item;",
    ],
)
def test_concurrent_file_with_another_statement_is_refused(tmp_path: Path, sql: str):
    (tmp_path / "0001_index.concurrent.sql").write_text(sql)

    with pytest.raises(MigrationError, match="0001_index"):
        migrations.read(tmp_path)


def test_concurrent_file_may_begin_with_comments(tmp_path: Path):
    text = f"-- Why.\n-- And how.\n{INDEX.sql}"
    (tmp_path / "0001_index.concurrent.sql").write_text(text)

    (migration,) = migrations.read(tmp_path)

    assert (migration.is_concurrent, migration.created_index) == (True, "item_name")


def test_folder_without_migrations_is_refused(tmp_path: Path):
    """A wrong path must not leave a database without its tables."""
    with pytest.raises(MigrationError, match="has no migrations"):
        migrations.read(tmp_path / "missing")
