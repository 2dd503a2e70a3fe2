"""Change numbers begin with the time, and expired changes are dropped by week."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason

from chassis.database.pool import Database
from tests.support.usersvc.change_calls import watch_changes
from tests.support.usersvc.expired_changes import create_partition, insert_expired_change
from tests.support.usersvc.user_calls import ACME, create, refused
from usersvc.domain.changes import ChangeCursor
from usersvc.store.change_partitions import ChangePartitions

TRIMMED = (Reason.REASON_CHANGES_TRIMMED, grpc.StatusCode.OUT_OF_RANGE)
NOW = datetime.now(UTC)


@pytest.fixture
async def partitions(users_url: str) -> AsyncIterator[ChangePartitions]:
    async with Database(users_url, "test") as database:
        yield ChangePartitions(database)


async def partition_names(db: asyncpg.Connection) -> set[str]:
    rows = await db.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'changes'::regclass"
    )
    return {row[0] for row in rows}


async def token_at(db: asyncpg.Connection, number: int) -> str:
    feed_id = await db.fetchval("SELECT feed_id FROM change_feed")
    return ChangeCursor(feed_id, UUID(ACME), number).token()


async def test_change_number_contains_the_minute_of_its_change(users, db):
    before = await db.fetchval("SELECT change_number_at(now())")
    await create(users, "ann@corp.test")
    after = await db.fetchval("SELECT change_number_at(now() + interval '1 minute')")
    assert before < await db.fetchval("SELECT number FROM changes") < after


async def test_concurrent_writers_take_increasing_numbers_past_a_minute(users_url, db):
    start = await db.fetchval(
        "SELECT setval('change_number', change_number_at(now() - interval '3 minutes'))"
    )

    async def take(connection: asyncpg.Connection) -> list[int]:
        return [await connection.fetchval("SELECT next_change()") for _ in range(50)]

    async with AsyncExitStack() as stack:
        connections = [await asyncpg.connect(users_url) for _ in range(8)]
        for connection in connections:
            stack.push_async_callback(connection.close)
        taken = await asyncio.gather(*map(take, connections))

    numbers = [number for each in taken for number in each]
    assert len(set(numbers)) == len(numbers)
    assert all(each == sorted(each) for each in taken)
    assert min(numbers) > start
    assert max(numbers) > await db.fetchval("SELECT change_number_at(now())") - 2**26


async def test_number_continues_while_another_writer_advances_the_minute(users_url, db):
    old = await db.fetchval(
        "SELECT setval('change_number', change_number_at(now() - interval '3 minutes'))"
    )
    other = await asyncpg.connect(users_url)
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(1852662386, 0)")  # it advances the minute
        assert await db.fetchval("SELECT next_change()") == old + 1
    await other.close()
    assert await db.fetchval("SELECT next_change()") > old + 2**26


async def test_number_increases_when_the_clock_goes_back(db):
    ahead = await db.fetchval(
        "SELECT setval('change_number', change_number_at(now() + interval '1 hour'))"
    )
    assert await db.fetchval("SELECT next_change()") == ahead + 1


async def test_horizon_is_below_open_writers_of_an_earlier_minute(users_url, db):
    await db.execute(
        "SELECT setval('change_number', change_number_at(now() - interval '3 minutes'))"
    )
    open_writer = await asyncpg.connect(users_url)
    async with open_writer.transaction():
        await db.execute("SELECT setval('change_number', change_number_at(now()) - 1000)")
        open_number = await open_writer.fetchval("SELECT next_change()")
        later = await db.fetchval("SELECT next_change()")
        assert await db.fetchval("SELECT change_horizon()") < open_number < later
    await open_writer.close()
    assert await db.fetchval("SELECT change_horizon()") == later


async def test_partitions_of_this_week_and_the_next_exist(partitions, db):
    await partitions.maintain()
    weeks = {int(NOW.timestamp()) // 604_800 + n for n in (0, 1)}
    expected = {f"changes_{datetime.fromtimestamp(n * 604_800, UTC):%Y%m%d}" for n in weeks}
    assert await partition_names(db) == {*expected, "changes_default", "changes_untimed"}


async def test_write_succeeds_without_partition_and_is_moved_into_it(partitions, users, db):
    for name in await partition_names(db) - {"changes_default", "changes_untimed"}:
        await db.execute(f"DROP TABLE {name}")
    ann = await create(users, "ann@corp.test")
    assert await db.fetchval("SELECT resource_id::text FROM changes_default") == ann.id

    await partitions.maintain()

    assert await db.fetchval("SELECT count(*) FROM changes_default") == 0
    assert await db.fetchval("SELECT resource_id::text FROM changes") == ann.id


async def test_expired_week_is_dropped_and_its_tokens_are_refused(partitions, changes, users, db):
    expired = await insert_expired_change(db, ACME, days=38)
    kept = await insert_expired_change(db, ACME, days=29)
    bob = await create(users, "bob@corp.test")

    assert await partitions.maintain() == 1
    assert await partitions.maintain() == 0

    with refused(*TRIMMED):
        async with watch_changes(changes, await token_at(db, expired - 1)):
            pass
    async with watch_changes(changes, await token_at(db, expired)) as reader:
        received = await reader.until(2)
    assert [received[0].number, received[1].resource_id] == [kept, bob.id]


async def test_last_token_of_a_quiet_feed_is_valid_after_its_week_is_dropped(
    partitions, changes, users, db
):
    last = await insert_expired_change(db, ACME, days=60)
    await create_partition(db, NOW - timedelta(days=45))  # a later week without changes
    assert await partitions.maintain() == 2
    ann = await create(users, "ann@corp.test")
    async with watch_changes(changes, await token_at(db, last)) as reader:
        assert [each.resource_id for each in await reader.until(1)] == [ann.id]


async def test_maintenance_does_nothing_while_a_reader_uses_the_table(partitions, users_url, db):
    await insert_expired_change(db, ACME, days=38)
    reader = await asyncpg.connect(users_url)
    async with reader.transaction():
        await reader.fetch("SELECT number FROM changes")
        assert await partitions.maintain() == 0
    await reader.close()
    assert await partitions.maintain() == 1


async def test_one_replica_maintains_at_a_time(partitions, users_url, db):
    await insert_expired_change(db, ACME, days=38)
    other = await asyncpg.connect(users_url)
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(1953655149, 0)")
        assert await partitions.maintain() == 0
    await other.close()
    assert await partitions.maintain() == 1


async def test_changes_numbered_without_a_time_are_deleted_one_by_one(partitions, db):
    insert = """
        INSERT INTO changes (organization_id, number, type, resource_id, create_time, request_id)
        VALUES ($1, $2, 5, gen_random_uuid(), now() - $3::interval, '')
    """
    for number, days in ((7, 31), (8, 29)):
        await db.execute(insert, UUID(ACME), number, timedelta(days=days))

    assert await partitions.maintain() == 1

    assert await db.fetchval("SELECT min(number) FROM changes") == 8
    assert await db.fetchval("SELECT trimmed FROM change_feed") == 7


async def test_partition_without_times_is_dropped_after_retention(partitions, db):
    await db.execute("UPDATE change_feed SET timed_from = now() - interval '31 days'")
    assert await partitions.maintain() == 1
    assert "changes_untimed" not in await partition_names(db)
    assert await db.fetchval("SELECT trimmed FROM change_feed") == 0
