"""Stored times, shifted so that rows are as old by the database's clock as by a test's clock."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

from usersvc.domain.changes import RETENTION


@asynccontextmanager
async def database_time(
    db: asyncpg.Connection, time: datetime, columns: Mapping[str, str]
) -> AsyncIterator[None]:
    """Shift a time column of each table as if the database's clock showed `time`.

    The database's clock cannot be moved. At the end, the remaining rows are shifted back.
    """
    offset = await db.fetchval("SELECT clock_timestamp() - $1::timestamptz", time)
    for table, column in columns.items():
        await db.execute(f"UPDATE {table} SET {column} = {column} + $1::interval", offset)
    yield
    for table, column in columns.items():
        await db.execute(f"UPDATE {table} SET {column} = {column} - $1::interval", offset)


def retention_at(time: datetime) -> timedelta:
    """The period with which rows expire now that expire at `time` with RETENTION."""
    return datetime.now(UTC) - (time - RETENTION)
