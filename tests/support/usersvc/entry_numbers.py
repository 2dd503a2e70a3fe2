"""Numbers of log entries that follow a test's clock instead of the database's clock."""

import asyncpg


async def number_by_create_time(db: asyncpg.Connection) -> None:
    """Renumber all entries as if the database had had the clock of the test.

    A change finds its partition by its number, so that one without a partition moves to
    `changes_default`.
    """
    for table in ("changes", "refusals"):
        await db.execute(
            f"UPDATE {table} SET number = change_number_at(create_time) + number % (1 << 26)"
        )
