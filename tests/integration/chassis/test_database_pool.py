"""The connection pool in front of a database that freezes."""

import asyncio
import gc
from typing import Any

import pytest

from chassis.database import pool
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
