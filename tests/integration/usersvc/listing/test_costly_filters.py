"""A filter that needs a full scan gets a short time limit and few connections."""

import asyncio
from collections import Counter
from uuid import UUID

import pytest

from chassis.concurrency.fair_semaphore import QUEUE_PER_SLOT
from chassis.database.pool import Database
from chassis.errors import OVERLOADED, Refusal
from tests.support.refusals import raises_refusal
from tests.support.usersvc.locks import table_locked, wait_for_lock_waiters
from tests.support.usersvc.user_calls import ACME, GLOBEX, create
from usersvc.domain.errors import FILTER_TOO_COSTLY
from usersvc.domain.filters import (
    AllOf,
    AnyOf,
    Comparison,
    ElementMatch,
    Not,
    Operator,
    Order,
    Present,
    Query,
)
from usersvc.store.listing.group_fields import GROUPS
from usersvc.store.listing.keys import keys_of
from usersvc.store.listing.lists import Lists
from usersvc.store.listing.scans import SCANS, SHARE, Scans
from usersvc.store.listing.user_fields import USERS


def equal(field: str, value: str = "x") -> Comparison:
    return Comparison(field, Operator.EQUAL, value)


SCAN = Comparison("title", Operator.CONTAINS, "x")
SEARCH = Comparison("user_name", Operator.CONTAINS, "xyz")


def lists_with_limits(database: Database, **limits: float) -> Lists:
    return Lists(database, Scans(database, **limits))


@pytest.fixture
async def database(users, users_url):
    """A database with a few users."""
    for number in range(20):
        await create(users, f"user{number}", title="t" * 8_000)
    async with Database(users_url, "test") as opened:
        yield opened


@pytest.mark.parametrize("method", ["page", "count"])
async def test_filter_over_time_limit_is_refused_as_too_costly(database, method):
    costly = AnyOf(tuple(Comparison("title", Operator.CONTAINS, f"x{i}") for i in range(190)))
    lists = lists_with_limits(database, seconds=0.002)
    queries = {
        "page": lambda: lists.page(Query(UUID(ACME), 10, filter=costly), USERS, dict),
        "count": lambda: lists.count(UUID(ACME), costly, USERS),
    }

    with raises_refusal(FILTER_TOO_COSTLY):
        await queries[method]()


async def test_filter_served_by_index_has_no_scan_time_limit(database):
    lists = lists_with_limits(database, number=0, seconds=0.0)

    page = await lists.page(Query(UUID(ACME), 10, filter=equal("user_name", "user7")), USERS, dict)

    assert [row["user_name"] for row in page.items] == ["user7"]


async def test_scan_without_free_slot_is_refused_as_overloaded(database):
    lists = lists_with_limits(database, number=0)

    with raises_refusal(OVERLOADED) as refused:
        await lists.count(UUID(ACME), SCAN, USERS)

    assert refused.value.retry_after_seconds == 1.0


@pytest.mark.parametrize("costly", [SCAN, SEARCH], ids=["a scan", "a search by name"])
async def test_endless_scan_of_one_organization_does_not_block_another(database, users_url, costly):
    """No scan or search of users finishes while the table is locked."""
    lists = Lists(database)

    async def scan() -> int | str:
        try:
            return await lists.count(UUID(ACME), costly, USERS)
        except Refusal as refusal:
            return refusal.reason

    async with table_locked(users_url, "users"):
        flood = [asyncio.create_task(scan()) for _ in range(50)]
        await wait_for_lock_waiters(users_url, SHARE)
        found = await lists.count(UUID(GLOBEX), Present("external_id"), GROUPS)
    outcomes = Counter(await asyncio.gather(*flood))

    queue_share = SCANS * QUEUE_PER_SLOT // 2
    assert found == 0
    assert outcomes == {0: SHARE + queue_share, "OVERLOADED": 50 - SHARE - queue_share}


async def test_slot_is_released_after_each_scan(database):
    lists = lists_with_limits(database, number=1)

    found = [await lists.count(UUID(ACME), SCAN, USERS) for _ in range(5)]

    assert found == [0] * 5


async def test_sorting_all_users_without_index_is_a_scan(database):
    lists = lists_with_limits(database, number=0)
    served = [
        await lists.page(Query(UUID(ACME), 3, order=Order(field)), USERS, dict)
        for field in ("id", "user_name")
    ]

    for field in ("title", "update_time"):
        with raises_refusal(OVERLOADED):
            await lists.page(Query(UUID(ACME), 3, order=Order(field)), USERS, dict)

    assert [len(page.items) for page in served] == [3, 3]


@pytest.mark.parametrize(
    ("filter_", "resource", "few"),
    [
        (equal("id"), USERS, True),
        (equal("user_name"), USERS, True),
        (equal("external_id"), USERS, True),
        (equal("display_name"), USERS, True),
        (equal("emails.value"), USERS, True),
        (equal("enterprise.employee_number"), USERS, True),
        (equal("enterprise.cost_center"), USERS, False),
        (ElementMatch("emails", AllOf((equal("value"), equal("type")))), USERS, True),
        (AllOf((SCAN, equal("user_name"))), USERS, True),
        (AnyOf((equal("id"), equal("user_name"))), USERS, True),
        (equal("members.value"), GROUPS, True),
        (equal("display_name"), GROUPS, True),
        (SCAN, USERS, False),
        (AnyOf((SCAN, equal("user_name"))), USERS, False),
        (Not(equal("user_name")), USERS, False),
        (equal("title"), USERS, False),
        (equal("emails.type"), USERS, False),
        (ElementMatch("emails", equal("type")), USERS, False),
        (Comparison("user_name", Operator.NOT_EQUAL, "x"), USERS, False),
    ],
)
def test_filter_on_key_value_is_known_to_find_few_rows(filter_, resource, few):
    assert (keys_of(filter_, resource.scope) is not None) is few
