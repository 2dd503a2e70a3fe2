"""A filter that has to look at everything gets little time, and few connections."""

import asyncio
from uuid import UUID

import pytest

from chassis.database import Database
from chassis.refusal import DatabaseUnavailable
from tests.integration.usersvc.user_calls import ACME, create
from usersvc.errors import FilterTooCostly
from usersvc.filter_sql import finds_few
from usersvc.filters import AllOf, AnyOf, Comparison, ElementMatch, Not, Operator, Query
from usersvc.group_fields import GROUPS
from usersvc.list_store import Lists
from usersvc.user_fields import USERS


def equal(field: str, value: str = "x") -> Comparison:
    return Comparison(field, Operator.EQUAL, value)


SCAN = Comparison("title", Operator.CONTAINS, "x")


@pytest.fixture
async def database(users, users_url):
    """A database with a few users."""
    for number in range(20):
        await create(users, f"user{number}", title="t" * 8_000)
    async with Database(users_url, "test") as opened:
        yield opened


@pytest.mark.parametrize("ask", ["page", "count"])
async def test_what_does_not_end_in_time_is_refused_as_too_costly(database, ask):
    costly = AnyOf(tuple(Comparison("title", Operator.CONTAINS, f"x{i}") for i in range(190)))
    lists = Lists(database, scan_seconds=0.002)
    asked = {
        "page": lambda: lists.page(Query(UUID(ACME), 10, filter=costly), USERS, dict),
        "count": lambda: lists.count(UUID(ACME), costly, USERS),
    }

    with pytest.raises(FilterTooCostly):
        await asked[ask]()


async def test_what_an_index_finds_has_all_the_time_it_needs(database):
    lists = Lists(database, scans=0, scan_seconds=0.0)

    page = await lists.page(Query(UUID(ACME), 10, filter=equal("user_name", "user7")), USERS, dict)

    assert [row["user_name"] for row in page.items] == ["user7"]


async def test_whoever_finds_no_place_among_the_scans_is_told_to_try_again(database):
    lists = Lists(database, scans=0, scan_seconds=0.01)

    with pytest.raises(DatabaseUnavailable):
        await lists.count(UUID(ACME), SCAN, USERS)


async def test_a_place_is_free_again_after_each_scan(database):
    lists = Lists(database, scans=1)

    found = await asyncio.gather(*(lists.count(UUID(ACME), SCAN, USERS) for _ in range(5)))

    assert found == [0] * 5


@pytest.mark.parametrize(
    ("filter_", "resource", "few"),
    [
        (equal("id"), USERS, True),
        (equal("user_name"), USERS, True),
        (equal("external_id"), USERS, True),
        (equal("display_name"), USERS, True),
        (equal("emails.value"), USERS, True),
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
def test_few_satisfy_what_names_the_value_of_a_key(filter_, resource, few):
    assert finds_few(filter_, resource.scope) is few
