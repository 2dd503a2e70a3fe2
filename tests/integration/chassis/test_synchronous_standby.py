"""Writes whose commits wait for a synchronous standby that is cut off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest

from chassis.database import pool
from chassis.database.pool import Database
from chassis.errors import CommitUnconfirmed, DatabaseUnavailable, WritesStalled
from tests.support.postgres import temporary_replicated_postgres
from tests.support.waiting import eventually
from tools.chaos.pgbouncer import is_installed, manifest_parameters, running_pgbouncer
from tools.chaos.standby import ReplicatedCluster

Write = Callable[[Database, int], Awaitable[None]]


async def statement(database: Database, number: int) -> None:
    async with database.writer() as db:
        await db.execute("INSERT INTO numbers VALUES ($1)", number)


async def transaction(database: Database, number: int) -> None:
    async with database.transaction() as db:
        await db.execute("INSERT INTO numbers VALUES ($1)", number)


async def several_rows(database: Database, number: int) -> None:
    async with database.writer() as db:
        await db.executemany("INSERT INTO numbers VALUES ($1)", [(number,)])


async def savepoint(database: Database, number: int) -> None:
    async with database.transaction() as db, db.transaction():
        await db.execute("INSERT INTO numbers VALUES ($1)", number)


writes = pytest.mark.parametrize("write", [statement, transaction, several_rows, savepoint])


@pytest.fixture
def cluster() -> Iterator[ReplicatedCluster]:
    with temporary_replicated_postgres() as cluster:
        yield cluster


@pytest.fixture
def url(cluster: ReplicatedCluster) -> str:
    return cluster.primary.create_role_and_database("numbers", "owner", "password")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with Database(url, "test") as database:
        async with database.writer() as db:
            await db.execute("CREATE TABLE numbers (number integer PRIMARY KEY)")
        yield database


async def numbers(database: Database) -> list[int]:
    async with database.connection() as db:
        return [row["number"] for row in await db.fetch("SELECT number FROM numbers")]


async def given_up(database: Database, cluster: ReplicatedCluster, write: Write) -> None:
    """A write whose caller gives up while its commit waits for the standby."""
    waiting = cluster.waiting_commits()
    task = asyncio.create_task(write(database, 1))
    await eventually(lambda: cluster.waiting_commits() > waiting)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@writes
async def test_cancelled_commit_is_invisible_and_a_failover_loses_nothing(
    cluster, database, write: Write
):
    await write(database, 0)
    cluster.cut_off_standby()

    await given_up(database, cluster, write)

    assert await numbers(database) == [0]
    with pytest.raises(TimeoutError):  # a repetition waits for the first, and is not refused
        await asyncio.wait_for(write(database, 1), 0.5)
    assert cluster.waiting_commits() == 1
    assert await numbers(database) == [0]
    cluster.fail_over()
    assert await on_standby(cluster) == [0]


async def test_cancelled_commit_takes_effect_once_the_standby_is_back(cluster, database):
    cluster.cut_off_standby()
    await given_up(database, cluster, statement)

    cluster.reconnect_standby()

    await eventually(lambda: cluster.waiting_commits() == 0)
    assert await numbers(database) == [1]
    await statement(database, 2)
    assert await numbers(database) == [1, 2]


async def test_timed_out_commit_stays_invisible(cluster, url, database, monkeypatch):
    monkeypatch.setattr(pool, "STATEMENT_SECONDS", 0.5)
    async with Database(url, "test") as impatient:
        cluster.cut_off_standby()
        with pytest.raises(DatabaseUnavailable):
            await statement(impatient, 1)
        with pytest.raises(DatabaseUnavailable):
            await transaction(impatient, 2)
        assert await numbers(impatient) == []
        assert cluster.waiting_commits() == 2


async def test_stalled_commits_end_writes_and_reads_continue(cluster, database):
    cluster.cut_off_standby()
    waiting = [asyncio.create_task(statement(database, n)) for n in range(20)]

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    # The writes that waited for the standby are in doubt; those in the queue were not begun.
    in_doubt = [each for each in outcomes if isinstance(each, CommitUnconfirmed)]
    not_begun = [each for each in outcomes if isinstance(each, WritesStalled)]
    assert (len(in_doubt), len(not_begun)) == (pool.POOL_SIZE, 20 - pool.POOL_SIZE)
    for number in range(20, 60):
        with pytest.raises(WritesStalled):
            await statement(database, number)
        assert await numbers(database) == []
    assert cluster.waiting_commits() == pool.POOL_SIZE

    cluster.reconnect_standby()

    await eventually(lambda: not database.is_stalled)
    assert len(await numbers(database)) == pool.POOL_SIZE
    await statement(database, 100)


async def test_writes_continue_after_a_failover(cluster, url, database):
    cluster.cut_off_standby()
    with pytest.raises(CommitUnconfirmed):
        await statement(database, 1)
    assert database.is_stalled

    cluster.fail_over_at_same_address()

    await eventually(lambda: not database.is_stalled)
    await statement(database, 2)
    assert await numbers(database) == [2]


async def test_commit_that_an_administrator_cancels_is_not_acknowledged(cluster, database):
    cluster.cut_off_standby()
    write = asyncio.create_task(statement(database, 1))
    await eventually(lambda: cluster.waiting_commits() == 1)

    cluster.primary.query(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep';"
    )

    with pytest.raises(CommitUnconfirmed):
        await write
    cluster.reconnect_standby()
    await statement(database, 2)


async def test_statement_that_waits_for_a_lock_ends_when_given_up(cluster, url, database):
    await statement(database, 1)
    other = await asyncpg.connect(url)
    holder = other.transaction()
    await holder.start()
    await other.execute("DELETE FROM numbers")
    update = asyncio.create_task(changed(database))
    await eventually(lambda: cluster.primary.query(_WAITS_FOR_LOCK) == "t")

    update.cancel()
    with pytest.raises(asyncio.CancelledError):
        await update

    assert cluster.primary.query(_WAITS_FOR_LOCK) == "f"
    await holder.rollback()
    await other.close()
    assert await numbers(database) == [1]


@pytest.mark.skipif(not is_installed(), reason="pgbouncer is not installed")
@pytest.mark.parametrize("write", [statement, transaction])
async def test_writes_through_a_pooler_are_not_cancelled(cluster, url, database, write: Write):
    folder = cluster.primary.folder.parent / "pooler"
    with running_pgbouncer(folder, [url], manifest_parameters("usersvc")) as (pooled_url,):
        async with Database(pooled_url, "test") as pooled:
            await eventually(pooled.is_available)
            await write(pooled, 0)
            cluster.cut_off_standby()
            await given_up(pooled, cluster, write)
            assert await numbers(pooled) == [0]

            # This one waits for the first one's row. It ends when its caller gives up.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(write(pooled, 1), 0.5)
            assert cluster.primary.query(_WAITS_FOR_LOCK) == "f"
            assert (cluster.waiting_commits(), await numbers(pooled)) == (1, [0])

            with pytest.raises(CommitUnconfirmed):
                await write(pooled, 2)
            with pytest.raises(WritesStalled):
                await write(pooled, 3)
            assert await numbers(pooled) == [0]


async def changed(database: Database) -> None:
    async with database.writer() as db:
        await db.execute("UPDATE numbers SET number = number + 1")


async def on_standby(cluster: ReplicatedCluster) -> list[int]:
    connection = await asyncpg.connect(cluster.standby.url("numbers", "owner", "password"))
    try:
        return [row["number"] for row in await connection.fetch("SELECT number FROM numbers")]
    finally:
        await connection.close()


_WAITS_FOR_LOCK = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock');"
