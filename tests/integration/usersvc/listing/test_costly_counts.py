"""Queries that read the whole log get a short time limit and few slots per organization."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chassis.database.pool import Database
from chassis.errors import Refusal, RefusalKind
from tests.support.refusals import raises_refusal
from tests.support.usersvc.locks import table_locked, wait_for_lock_waiters
from tests.support.usersvc.user_calls import ACME, GLOBEX
from usersvc.domain.activities import Action, Query, Result, Width
from usersvc.domain.errors import (
    COUNT_TOO_COSTLY,
    FILTER_TOO_COSTLY,
)
from usersvc.store.activities.counts import (
    COUNTS,
    COUNTS_PER_ORGANIZATION,
    QUEUE_PER_SLOT,
    ActivityCounts,
    slots,
)
from usersvc.store.activities.log import ActivityStore
from usersvc.store.listing.scans import Scans

NOW = datetime(2026, 11, 27, tzinfo=UTC)
LogQuery = Callable[[Database, Scans | None, UUID], Awaitable[object]]


def count(database: Database, scans: Scans | None, organization_id: UUID) -> Awaitable[object]:
    counts = ActivityCounts(database, scans)
    return counts.count(organization_id, NOW - timedelta(days=1), NOW, Width.HOUR)


def cycles(database: Database, scans: Scans | None, organization_id: UUID) -> Awaitable[object]:
    return ActivityCounts(database, scans).cycles(organization_id, NOW - timedelta(days=7), 10)


def search(database: Database, scans: Scans | None, organization_id: UUID) -> Awaitable[object]:
    return ActivityStore(database, scans).page(Query(organization_id, 10, text="ann"))


def latest(database: Database, scans: Scans | None, organization_id: UUID) -> Awaitable[object]:
    return ActivityStore(database, scans).page(Query(organization_id, 10))


@pytest.fixture
async def database(users_url: str) -> AsyncIterator[Database]:
    async with Database(users_url, "test") as opened:
        yield opened


@pytest.mark.parametrize(
    ("log_query", "refusal"),
    [
        (count, COUNT_TOO_COSTLY),
        (cycles, COUNT_TOO_COSTLY),
        (search, FILTER_TOO_COSTLY),
        (latest, FILTER_TOO_COSTLY),
    ],
)
async def test_log_query_over_time_limit_is_refused_as_too_costly(
    database: Database, users_url: str, log_query: LogQuery, refusal: RefusalKind[()]
):
    scans = Scans(database, seconds=0.05)
    async with table_locked(users_url, "changes"):
        with raises_refusal(refusal):
            await log_query(database, scans, UUID(ACME))


async def test_endless_count_of_one_organization_does_not_block_another(
    database: Database, users_url: str
):
    """Counts of changes cannot finish while the table is locked; refused requests can be read."""
    scans = slots(database)
    store = ActivityStore(database, scans)
    refused_requests = Query(UUID(GLOBEX), 10, text="ann", result=Result.REFUSED)

    async def outcome_of_count() -> str:
        try:
            await count(database, scans, UUID(ACME))
        except Refusal as refusal:
            return refusal.reason
        return ""

    async with table_locked(users_url, "changes"):
        flood = [asyncio.create_task(outcome_of_count()) for _ in range(200)]
        await wait_for_lock_waiters(users_url, COUNTS_PER_ORGANIZATION)
        found = await store.page(refused_requests)
    outcomes = Counter(await asyncio.gather(*flood))

    queue_share = COUNTS * QUEUE_PER_SLOT // 2
    assert found == []
    assert outcomes == {
        "": COUNTS_PER_ORGANIZATION + queue_share,
        "OVERLOADED": 200 - COUNTS_PER_ORGANIZATION - queue_share,
    }


async def test_search_for_refused_requests_does_not_read_changes(
    database: Database, users_url: str
):
    """A portal page looks up the last refused key each time it is displayed."""
    store = ActivityStore(database)
    keys = frozenset({Action.AUTHENTICATE})
    async with table_locked(users_url, "changes"):
        assert await store.page(Query(UUID(ACME), 1, actions=keys)) == []
    assert await store.page(Query(UUID(ACME), 1, actions=keys, result=Result.SUCCESS)) == []
