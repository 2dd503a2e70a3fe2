"""Concurrent writes share transactions, without a visible difference to their callers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from chassis.concurrency.notifier import Notifier
from chassis.database.pool import Database
from chassis.errors import Refusal
from tests.support.usersvc.user_calls import ACME, GLOBEX, create
from usersvc.domain.changes import Origin
from usersvc.domain.errors import USER_NAME_TAKEN
from usersvc.domain.users import Profile, TypedValue, User
from usersvc.store.listing.lists import Lists
from usersvc.store.users.store import UserStore

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ORIGIN = Origin("request")
ADMINISTRATOR = (TypedValue(value="Administrator"),)


@pytest.fixture
async def store(users_url: str) -> AsyncIterator[UserStore]:
    async with Database(users_url, "test") as database:
        yield UserStore(database, Lists(database), Notifier())


async def create_all(
    store: UserStore, *names: str, organization_id: str = ACME, **fields: object
) -> list[Any]:
    """The users, or exceptions, of concurrent creates."""
    creates = (
        store.create(UUID(organization_id), Profile(name, **fields), NOW, ORIGIN) for name in names
    )
    return await asyncio.gather(*creates, return_exceptions=True)


async def write_all(store: UserStore, found: list[User], **fields: object) -> list[Any]:
    """The users, or exceptions, of concurrent writes of their profiles."""
    writes = (store.write(each, replace(each.profile, **fields), NOW, ORIGIN) for each in found)
    return await asyncio.gather(*writes, return_exceptions=True)


async def test_concurrent_creates_share_transactions(store, db):
    names = [f"user{number}" for number in range(17)]
    created = await create_all(store, *names)

    assert [each.profile.user_name for each in created] == names
    rows = await db.fetch("SELECT user_id, user_name, xmin::text FROM users")
    assert {row["user_name"]: row["user_id"] for row in rows} == {
        each.profile.user_name: each.user_id for each in created
    }
    assert len({row["xmin"] for row in rows}) == 3  # one alone, and two of 8
    assert await db.fetchval("SELECT count(DISTINCT resource_id) FROM changes") == 17


async def test_taken_name_refuses_only_its_own_create(users, store, db):
    await create(users, "taken")
    first, new, taken, twice, again = await create_all(
        store, "first", "new", "TAKEN", "twice", "Twice"
    )

    assert [first.profile.user_name, new.profile.user_name] == ["first", "new"]
    assert isinstance(taken, Refusal)
    assert taken.kind is USER_NAME_TAKEN
    assert sorted([isinstance(each, Refusal) for each in (twice, again)]) == [False, True]
    assert await db.fetchval("SELECT count(*) FROM users") == 4
    assert await db.fetchval("SELECT count(*) FROM changes") == 4


async def test_batches_with_the_same_names_in_other_orders_do_not_deadlock(users_url, db):
    names = [f"user{number}" for number in range(30)]
    async with Database(users_url, "test") as one, Database(users_url, "test") as other:
        stores = [UserStore(each, Lists(each), Notifier()) for each in (one, other)]
        results = await asyncio.gather(
            create_all(stores[0], *names), create_all(stores[1], *reversed(names))
        )
    outcomes = [each for result in results for each in result]
    assert sum(isinstance(each, User) for each in outcomes) == len(names)
    assert all(each.kind is USER_NAME_TAKEN for each in outcomes if isinstance(each, Refusal))
    assert not any(
        isinstance(each, Exception) and not isinstance(each, Refusal) for each in outcomes
    )
    assert await db.fetchval("SELECT count(*) FROM users") == len(names)


async def test_creates_of_organizations_share_no_transaction(store, db):
    names = [f"user{number}" for number in range(4)]
    await asyncio.gather(
        create_all(store, *names), create_all(store, *names, organization_id=GLOBEX)
    )
    rows = await db.fetch(
        "SELECT xmin::text, count(DISTINCT organization_id) FROM users GROUP BY 1"
    )
    assert [row["count"] for row in rows] == [1] * len(rows)


async def test_concurrent_updates_share_a_transaction_and_lose_races_alone(store, db):
    found = await create_all(store, *[f"user{number}" for number in range(9)])
    (changed,) = await write_all(store, [found[4]], title="Manager")

    written = await write_all(store, found, title="Engineer")

    assert written[4] is None  # changed since it was read
    others = [each for each in written if each is not None]
    assert [each.version for each in others] == [2] * 8
    rows = await db.fetch("SELECT user_id, title, version, xmin::text FROM users")
    titles = {row["user_id"]: (row["title"], row["version"]) for row in rows}
    assert titles == {each.user_id: ("Engineer", 2) for each in others} | {
        changed.user_id: ("Manager", 2)
    }
    assert len({row["xmin"] for row in rows if row["title"] == "Engineer"}) == 2


async def test_too_long_value_refuses_only_its_own_update(store):
    found = await create_all(store, *[f"user{number}" for number in range(4)])
    long = replace(found[2].profile, display_name="x" * 2_001)
    writes = (
        store.write(
            each, long if each is found[2] else replace(each.profile, title="x"), NOW, ORIGIN
        )
        for each in found
    )
    first, second, refused, last = await asyncio.gather(*writes, return_exceptions=True)
    assert [each.profile.title for each in (first, second, last)] == ["x"] * 3
    assert "display_name" in str(refused)


async def test_last_administrator_is_noticed_in_a_shared_transaction(store, db):
    administrators = await create_all(store, "ann", "bob", roles=ADMINISTRATOR, active=True)
    (other,) = await create_all(store, "other", active=True)

    await write_all(store, [other, *administrators], active=False)  # `other` is written alone

    rows = await db.fetch(
        "SELECT last_administrator_lost FROM changes WHERE type = 4 ORDER BY number"
    )
    assert sorted(row[0] for row in rows) == [False, False, True]
