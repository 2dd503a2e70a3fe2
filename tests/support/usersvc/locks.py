"""A table that nobody reads: whatever asks for it meanwhile comes to no end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def locked(url: str, table: str) -> AsyncIterator[None]:
    """The table is locked meanwhile."""
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table}")
        yield
    await connection.close()


async def until_waiting(url: str, number: int) -> None:
    """Until so many statements of the database wait for a lock."""
    connection = await asyncpg.connect(url)
    statement = """
        SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    async with asyncio.timeout(2):
        while await connection.fetchval(statement) < number:
            pass
    await connection.close()
