"""The connection pool in front of a database that freezes."""

import asyncio
import gc
from typing import Any

import asyncpg
import pytest

from chassis.database import commit_monitor, pool
from chassis.database.pool import Database
from tests.support.keysvc.proxies import proxy_before
from tests.support.postgres import TestPostgres
from tests.support.waiting import eventually


async def test_statement_cancelled_twice_on_a_frozen_database_leaves_no_lost_error(
    postgres_cluster: TestPostgres, monkeypatch: pytest.MonkeyPatch
):
    """asyncpg waits for the statement's end in a task whose error nobody may be left to read."""
    monkeypatch.setattr(pool, "ACQUIRE_SECONDS", 0.5)
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    running = asyncio.Event()
    url = postgres_cluster.cluster.superuser_url
    async with proxy_before(url) as (proxy, through), Database(through, "test") as database:

        async def work() -> None:
            async with database.connection() as connection:
                await connection.fetchval("SELECT 1")
                running.set()
                await connection.execute("SELECT pg_sleep(100)")

        task = asyncio.create_task(work())
        await running.wait()
        proxy.partition()
        task.cancel()
        await asyncio.wait((task,), timeout=0.1)
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
        await eventually(lambda: database._pool.get_size() == 0)
        del task
        gc.collect()
        proxy.heal()
    assert errors == []


async def test_given_up_batch_ends_with_its_last_statement(
    postgres_cluster: TestPostgres, monkeypatch: pytest.MonkeyPatch
):
    """Its second statement begins after its connection was dropped, and would be committed."""
    monkeypatch.setattr(commit_monitor, "END_SECONDS", 30.0)
    url = postgres_cluster.cluster.superuser_url
    other = await asyncpg.connect(url)

    async def waits_for(lock: int) -> bool:
        return bool(await other.fetchval(_WAITS_FOR, lock))

    async def write() -> None:
        async with database.writer() as db:
            await db.execute("SET client_connection_check_interval = 0")
            await db.fetchmany("SELECT pg_advisory_xact_lock($1)", [(1,), (2,)])

    async with Database(url, "test") as database:
        await other.execute("SELECT pg_advisory_lock(1), pg_advisory_lock(2)")
        task = asyncio.create_task(write())
        await eventually(lambda: waits_for(1))
        task.cancel()
        await eventually(lambda: task.cancelling() and database._pool.get_size() == 0)
        await other.execute("SELECT pg_advisory_unlock(1)")
        await eventually(lambda: waits_for(2))

        done, _ = await asyncio.wait((task,), timeout=10 * commit_monitor.END_POLL_SECONDS)
        assert not done

        await other.execute("SELECT pg_advisory_unlock(2)")
        await asyncio.wait((task,))
        assert task.cancelled()
    await other.close()


_WAITS_FOR = """
    SELECT EXISTS (SELECT
                     FROM pg_locks
                    WHERE locktype = 'advisory' AND objid::bigint = $1 AND NOT granted)
"""
