"""Totals of lists: they equal the rows, without reading them, while changes are added up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
import pytest
from cloudacademy.users.v1.groups_pb2 import DeleteGroupRequest, ListGroupsRequest
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from chassis.database.pool import Database
from tests.support.usersvc.group_calls import create_group
from tests.support.usersvc.locks import table_locked
from tests.support.usersvc.user_calls import (
    ACME,
    GLOBEX,
    compare,
    create,
    delete,
    list_users,
    negation,
    update,
)
from usersvc.domain.directory import DirectoryCounts
from usersvc.store.directory_counts import _READ as READ
from usersvc.store.directory_counts import DirectoryCountStore

Totals: TypeAlias = Callable[[], Awaitable[DirectoryCounts]]

COUNTS = "usersvc.store.directory_counts"
ROWS = """
    SELECT (SELECT count(*) FROM users WHERE organization_id = $1),
           (SELECT count(*) FROM users WHERE organization_id = $1 AND active),
           (SELECT count(*) FROM groups WHERE organization_id = $1)
"""

INSERT = """
    WITH created AS (
        INSERT INTO users (organization_id, create_time, update_time, user_name, active)
        VALUES ($1, now(), now(), 'ann', true)
        RETURNING user_id
    )
    INSERT INTO changes (organization_id, number, type, resource_id, version, active, create_time,
                         request_id)
    SELECT $1, next_change(), 1, user_id, 1, true, now(), '' FROM created
"""


@pytest.fixture
async def store(users_url: str) -> AsyncIterator[DirectoryCountStore]:
    async with Database(users_url, "test") as database:
        yield DirectoryCountStore(database)


class Directory(NamedTuple):
    """The services that write users and groups."""

    users: UserServiceStub
    groups: GroupServiceStub


@pytest.fixture
def directory(users, groups) -> Directory:
    return Directory(users, groups)


@pytest.fixture
def totals(directory) -> Totals:
    """The totals of lists as callers see them."""
    users, groups = directory

    async def read() -> DirectoryCounts:
        everyone, active, inactive = [
            (await list_users(users, filter_, count_total=True, omit_users=True)).total_size
            for filter_ in (
                None,
                compare("active", "EQUAL", True),
                compare("active", "EQUAL", False),
            )
        ]
        assert active + inactive == everyone
        request = ListGroupsRequest(organization_id=ACME, count_total=True, omit_groups=True)
        return DirectoryCounts(everyone, active, (await groups.ListGroups(request)).total_size)

    return read


async def write_some(directory: Directory) -> DirectoryCounts:
    """Make changes of each type. Returns the numbers after them."""
    users, groups = directory
    ann, bob, cat, dan, eve = [
        await create(users, name, active=name != "cat")
        for name in ("ann", "bob", "cat", "dan", "eve")
    ]
    await create(users, "zoe", GLOBEX)
    await update(users, bob.id, active=False)
    await update(users, cat.id, active=True)
    await update(users, ann.id, title="Engineer")
    await update(users, dan.id, "active", active=False)
    await delete(users, eve.id)  # while active
    await delete(users, dan.id)  # after it was deactivated
    one, _ = [await create_group(groups, name) for name in ("one", "two")]
    await groups.DeleteGroup(DeleteGroupRequest(organization_id=ACME, group_id=one.id))
    return DirectoryCounts(users=3, active_users=2, groups=1)


async def roll_up(store: DirectoryCountStore) -> None:
    while await store.roll_up():
        pass


async def expect_rows(db: asyncpg.Connection, store: DirectoryCountStore) -> None:
    """Assert that the counts of an organization are those of its rows."""
    assert await store.read(UUID(ACME)) == DirectoryCounts(*await db.fetchrow(ROWS, UUID(ACME)))


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_totals_stay_equal_while_changes_are_added(
    directory, totals, store, monkeypatch, size
):
    monkeypatch.setattr(f"{COUNTS}.BATCH_CHANGES", size)
    await store.roll_up()  # the first count
    expected = await write_some(directory)
    seen = [await totals()]

    while await store.roll_up():
        seen.append(await totals())

    assert len(seen) > 1
    assert seen == [expected] * len(seen)


async def test_first_count_finds_the_rows_of_earlier_changes(directory, totals, store):
    expected = await write_some(directory)
    assert await totals() == expected  # counted row by row
    assert await store.read(UUID(ACME)) is None

    await roll_up(store)

    assert await totals() == await store.read(UUID(ACME)) == expected


async def test_total_reads_no_user(directory, users_url, store):
    expected = await write_some(directory)
    await roll_up(store)
    async with table_locked(users_url, "users"):
        found = await list_users(directory.users, count_total=True, omit_users=True)
    assert found.total_size == expected.users


async def test_each_snapshot_has_exact_counts_under_concurrent_writes(
    directory, users_url, db, store, monkeypatch
):
    users, groups = directory
    monkeypatch.setattr(f"{COUNTS}.BATCH_CHANGES", 7)
    done = asyncio.Event()

    async def write(number: int) -> None:
        for each in range(4):
            user = await create(users, f"user{number}-{each}", active=True)
            if each % 2:
                await update(users, user.id, active=False)
            if number % 2:
                await delete(users, user.id)
        await create_group(groups, f"group{number}")

    async def add() -> None:
        while not done.is_set():
            await store.roll_up()

    async def compare_in_snapshots() -> int:
        compared = 0
        connection = await asyncpg.connect(users_url)
        while not done.is_set():
            async with connection.transaction(isolation="repeatable_read"):
                counted, *counts = await connection.fetchrow(READ, UUID(ACME))
                rows = await connection.fetchrow(ROWS, UUID(ACME))
            if counted is not None:
                assert counts == list(rows)
                compared += 1
        await connection.close()
        return compared

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(add())
        comparison = tasks.create_task(compare_in_snapshots())
        await asyncio.gather(*(write(number) for number in range(16)))
        done.set()

    assert comparison.result() > 1
    await expect_rows(db, store)
    await roll_up(store)
    await expect_rows(db, store)
    assert await db.fetchval("SELECT count(*) FROM deleted_active_users") == 0


async def test_changes_that_follow_an_open_transaction_are_counted_later(
    users, users_url, db, store
):
    """The open transaction took the lower number and commits after the first count."""
    await store.roll_up()
    other = await asyncpg.connect(users_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(INSERT, UUID(ACME))
    await create(users, "bob")
    await roll_up(store)
    await expect_rows(db, store)
    await transaction.commit()
    await other.close()

    await expect_rows(db, store)
    await roll_up(store)
    await expect_rows(db, store)


async def test_rollup_that_fails_is_repeated_without_counting_twice(users, db, store):
    await store.roll_up()
    await create(users, "ann", active=True)
    await db.execute("ALTER TABLE change_feed RENAME counted TO lost")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await store.roll_up()
    await db.execute("ALTER TABLE change_feed RENAME lost TO counted")
    await roll_up(store)
    await expect_rows(db, store)


async def test_all_rows_are_counted_again_if_changes_were_deleted_uncounted(users, db, store):
    await store.roll_up()
    for name in ("ann", "bob"):
        await create(users, name)
    await db.execute("UPDATE change_feed SET trimmed = (SELECT max(number) FROM changes)")
    await db.execute("DELETE FROM changes")
    await create(users, "cat")
    assert await store.read(UUID(ACME)) is None  # until then, lists count the rows

    await roll_up(store)

    await expect_rows(db, store)


async def test_full_batch_that_changes_no_count_is_not_the_last(users, db, store, monkeypatch):
    await store.roll_up()
    monkeypatch.setattr(f"{COUNTS}.BATCH_CHANGES", 1)
    ann = await create(users, "ann")
    for title in ("Engineer", "Architect"):
        await update(users, ann.id, title=title)
    await create(users, "bob")

    await roll_up(store)

    added = await db.fetchval(
        "SELECT counted = max(number) FROM change_feed, changes GROUP BY counted"
    )
    assert added


async def test_total_of_another_filter_counts_rows(directory, store):
    await write_some(directory)
    await roll_up(store)
    filter_ = negation(compare("user_name", "EQUAL", "ann"))
    found = await list_users(directory.users, filter_, count_total=True, omit_users=True)
    assert found.total_size == 2
