"""Table locks, which block every statement that uses the table."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def table_locked(url: str, table: str) -> AsyncIterator[None]:
    """Lock the table exclusively during the block."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table}")
        yield
    await connection.close()


async def wait_for_lock_waiters(url: str, number: int) -> None:
    """Wait until at least `number` statements of the database wait for a lock."""
    connection = await asyncpg.connect(url)
    statement = """
        SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    async with asyncio.timeout(2):
        while await connection.fetchval(statement) < number:
            pass
    await connection.close()
