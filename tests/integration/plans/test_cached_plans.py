"""A prepared statement is planned once, and its plan stays good when tables grow."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from tests.support.plans.cases import LARGE
from usersvc.store.users.lookups import BY_IDS


@pytest.fixture
async def db(users_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(users_url)
    yield connection
    await connection.close()


async def test_keyed_query_is_planned_once(db: asyncpg.Connection):
    """Planning costs more than running, but PostgreSQL would replan at each call by default."""
    for _ in range(7):
        await db.fetch(BY_IDS, LARGE.id, [UUID(int=1)])
    plans = await db.fetchrow(
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1",
        BY_IDS,
    )
    assert tuple(plans) == (7, 0)


async def test_plan_made_for_empty_table_stays_an_index_scan(db: asyncpg.Connection):
    await db.execute(
        "PREPARE watermark (bigint) AS SELECT max(number) FROM changes WHERE number <= $1"
    )
    plan = await db.fetchval("EXPLAIN (FORMAT json) EXECUTE watermark (7)")
    assert "_number_idx" in plan
    assert "Seq Scan" not in plan
