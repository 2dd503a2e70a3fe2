"""Inserts the counts and names that usersvc's background task adds up from the log.

The task would take minutes for the filled entries, so it begins after them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from tools.benchmarks.organizations.sizes import DAYS
from tools.benchmarks.service import COUNT_AGAIN
from usersvc.store.activities import rollup

_DAYS_AT_ONCE: Final = 5


async def skip_filled_entries(db: asyncpg.Connection) -> None:
    """Let the background task begin with entries from now on."""
    await db.execute(_SKIP)


async def fill_counts(db: asyncpg.Connection, start: datetime) -> None:
    """Count the entries by the statement of the background task, several days at once."""
    for days in range(0, DAYS, _DAYS_AT_ONCE):
        first, end = (start + timedelta(days=each) for each in (days, days + _DAYS_AT_ONCE))
        numbers = await db.fetchrow(
            "SELECT change_number_at($1) - 1, change_number_at($2) - 1", first, end
        )
        await db.execute(rollup._ADD_COUNTS, *numbers)


async def fill_names(db: asyncpg.Connection, ids: Sequence[UUID]) -> None:
    """Insert the names of users and groups in changes."""
    await db.execute(_NAMES, ids)


async def count_again(db: asyncpg.Connection) -> None:
    """Let the background task count all users and groups, whose creation is not in the log."""
    await db.execute(COUNT_AGAIN)


_SKIP: Final = """
    UPDATE change_feed
       SET rolled_up = greatest(rolled_up, change_number_at(now())),
           refusals_checked = greatest(refusals_checked, change_number_at(now()))
"""

_NAMES: Final = """
    INSERT INTO logged_names (organization_id, resource_id, name, last_number)
    SELECT organization_id, resource_id, fold(resource_name), max(number)
      FROM changes
     WHERE organization_id = ANY($1::uuid[]) AND resource_name IS NOT NULL
     GROUP BY 1, 2, 3
     ORDER BY 1, 2, 3
"""
