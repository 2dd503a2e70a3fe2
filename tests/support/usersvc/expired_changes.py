"""Changes older than the retention period, each in the partition of its week."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg


async def insert_expired_change(db: asyncpg.Connection, organization_id: str, days: int) -> int:
    """Insert the deletion of a user `days` ago. Returns the number of the change."""
    time = datetime.now(UTC) - timedelta(days=days)
    await create_partition(db, time)
    number: int = await db.fetchval(
        """
        INSERT INTO changes (organization_id, number, type, resource_id, create_time, request_id)
        VALUES ($1, change_number_at($3) + 1, 5, $2, $3, '')
        RETURNING number
        """,
        UUID(organization_id), uuid4(), time,
    )  # fmt: skip
    return number


async def create_partition(db: asyncpg.Connection, time: datetime) -> None:
    """Create the partition of the week that contains `time`."""
    week = int(time.timestamp()) // 604_800
    first, end = (datetime.fromtimestamp(each * 604_800, UTC) for each in (week, week + 1))
    numbers = [await db.fetchval("SELECT change_number_at($1)", each) for each in (first, end)]
    await db.execute(
        f"CREATE TABLE changes_{first:%Y%m%d} PARTITION OF changes"
        f" FOR VALUES FROM ({numbers[0]}) TO ({numbers[1]})"
    )
