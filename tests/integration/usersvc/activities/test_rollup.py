"""The roll-up of the log: counts are the same before, while and after entries are rolled up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import activity_pb2
from cloudacademy.users.v1.activity_pb2 import Activity
from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from chassis.database.pool import Database
from chassis.rpc.timestamps import to_timestamp
from tests.support.clocks import StoppedClock
from tests.support.usersvc.activity_calls import (
    list_activities,
    record_refusal,
    roll_up,
)
from tests.support.usersvc.database_clock import retention_at
from tests.support.usersvc.entry_numbers import number_by_create_time
from tests.support.usersvc.locks import wait_for_lock_waiters
from tests.support.usersvc.user_calls import ACME, GLOBEX, create, delete, refused, update
from usersvc.store.activities.refusals import RefusalStore
from usersvc.store.activities.rollup import ActivityRollup

ROLLUP = "usersvc.store.activities.rollup"
BEGAN = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


@pytest.fixture
async def database(users_url: str) -> AsyncIterator[Database]:
    async with Database(users_url, "test") as opened:
        yield opened


async def counts(activities) -> list[tuple[int, int, int]]:
    request = activity_pb2.CountActivitiesRequest(
        organization_id=ACME,
        start_time=to_timestamp(BEGAN),
        end_time=to_timestamp(BEGAN + timedelta(hours=3)),
    )
    response = await activities.CountActivities(request)
    return [(each.succeeded, each.refused, each.rejected_keys) for each in response.counts]


async def cycles(activities) -> list[tuple[datetime, datetime, int, int]]:
    response = await activities.ListCycles(activity_pb2.ListCyclesRequest(organization_id=ACME))
    return [
        (
            each.start_time.ToDatetime(UTC),
            each.end_time.ToDatetime(UTC),
            each.succeeded,
            each.refused,
        )
        for each in response.cycles
    ]


async def counted(db: asyncpg.Connection, minutes: int) -> int:
    """The number of entries of all organizations that are rolled up."""
    number: int = await db.fetchval(
        "SELECT sum(succeeded + refused + rejected_keys) FROM activity_counts WHERE minutes = $1",
        minutes,
    )
    return number


class Log(NamedTuple):
    """The services that write and read the log, and their clock."""

    activities: ActivityServiceStub
    users: UserServiceStub
    clock: StoppedClock


@pytest.fixture
def log(activities, users, clock) -> Log:
    return Log(activities, users, clock)


async def write_some(log: Log) -> None:
    """Write two cycles, in the first and the third hour."""
    activities, users, clock = log
    clock.now = BEGAN
    await create(users, "ann@corp.test")
    await create(users, "eve@corp.test", GLOBEX)
    clock.advance(minutes=5)
    await record_refusal(activities, clock)
    clock.advance(hours=2)
    await create(users, "bob@corp.test")
    await record_refusal(activities, clock, action=Activity.ACTION_AUTHENTICATE)


HOURS = [(1, 1, 0), (0, 0, 0), (1, 0, 1), (0, 0, 0)]
CYCLES = [
    (BEGAN + timedelta(hours=2, minutes=5), BEGAN + timedelta(hours=2, minutes=5), 1, 1),
    (BEGAN, BEGAN + timedelta(minutes=5), 1, 1),
]


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_counts_stay_equal_while_entries_are_rolled_up(log, database, monkeypatch, size):
    monkeypatch.setattr(f"{ROLLUP}.BATCH_ENTRIES", size)
    await write_some(log)
    rollup = ActivityRollup(database)
    seen = [(await counts(log.activities), await cycles(log.activities))]

    while await rollup.roll_up():
        seen.append((await counts(log.activities), await cycles(log.activities)))

    assert len(seen) > 1
    assert seen == [(HOURS, CYCLES)] * len(seen)


async def test_concurrent_rollups_count_every_entry_once(log, database, db, monkeypatch):
    monkeypatch.setattr(f"{ROLLUP}.BATCH_ENTRIES", 1)
    await write_some(log)
    rollups = [ActivityRollup(database) for _ in range(4)]
    while any(await asyncio.gather(*(each.roll_up() for each in rollups))):
        pass

    assert (await counts(log.activities), await cycles(log.activities)) == (HOURS, CYCLES)
    assert [await counted(db, minutes) for minutes in (1, 60)] == [5, 5]


async def test_rollup_that_fails_is_repeated_without_counting_twice(log, users_url, database, db):
    await write_some(log)
    await db.execute("ALTER TABLE logged_names RENAME TO lost")
    with pytest.raises(asyncpg.UndefinedTableError):
        await ActivityRollup(database).roll_up()
    await db.execute("ALTER TABLE lost RENAME TO logged_names")

    await roll_up(users_url)

    assert (await counts(log.activities), await cycles(log.activities)) == (HOURS, CYCLES)


@pytest.mark.parametrize("table", ["changes", "refusals"])
async def test_rollup_leaves_entries_that_follow_an_open_transaction(log, users_url, db, table):
    """The open transaction took the lower number and commits after the roll-up."""
    await write_some(log)
    await roll_up(users_url)
    other = await asyncpg.connect(users_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(
        f"""
        INSERT INTO {table}
        SELECT (jsonb_populate_record(
                   old, '{{"report_id": null}}' || jsonb_build_object('number', next_change()))).*
          FROM {table} AS old
         WHERE organization_id = $1
         LIMIT 1
        """,
        UUID(ACME),
    )
    log.clock.now = BEGAN
    await create(log.users, "late@corp.test")
    await roll_up(users_url)

    await transaction.commit()
    await other.close()
    await roll_up(users_url)

    total = await db.fetchval("SELECT count(*) FROM changes") + await db.fetchval(
        "SELECT count(*) FROM refusals"
    )
    assert await counted(db, 60) == total == 7


async def test_deletion_of_a_user_keeps_counts_and_deletes_names(
    activities, users, clock, users_url, db
):
    clock.now = BEGAN
    ann = await create(users, "ann@corp.test")
    await update(users, ann.id, user_name="ann.li@corp.test")
    await roll_up(users_url)
    assert await db.fetchval("SELECT count(*) FROM logged_names") == 2

    await delete(users, ann.id)

    assert await db.fetchval("SELECT count(*) FROM logged_names") == 0
    await roll_up(users_url)
    assert await db.fetchval("SELECT count(*) FROM logged_names") == 0
    assert (await counts(activities))[0] == (3, 0, 0)


async def test_rollup_adds_no_name_of_a_user_who_is_being_deleted(
    users, users_url, db, database, clock
):
    ann = await create(users, "ann@corp.test")
    async with db.transaction():
        await db.execute("DELETE FROM users WHERE user_id = $1", ann.id)
        adding = asyncio.create_task(ActivityRollup(database).roll_up())
        await wait_for_lock_waiters(users_url, 1)
    await adding

    assert await db.fetchval("SELECT count(*) FROM logged_names") == 0


async def test_trim_deletes_counts_and_names_after_retention(log, users_url, database, db):
    await write_some(log)
    await roll_up(users_url)
    rollup = ActivityRollup(database)

    async def left() -> list[int]:
        return [
            await db.fetchval(f"SELECT count(*) FROM {what}")
            for what in (
                "activity_counts WHERE minutes = 1",
                "activity_counts WHERE minutes = 60",
                "logged_names",
            )
        ]

    now = log.clock.now
    assert (await left(), await rollup.delete_expired(retention_at(now))) == ([4, 3, 3], 0)
    await rollup.delete_expired(retention_at(now + timedelta(days=29)))
    assert await left() == [4, 3, 3]
    await rollup.delete_expired(retention_at(datetime.now(UTC) + timedelta(days=50)))
    assert await left() == [0, 0, 0]


# Actions.


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_entries_with_an_action_are_listed_while_they_are_rolled_up(
    log, database, db, monkeypatch, size
):
    monkeypatch.setattr(f"{ROLLUP}.BATCH_ENTRIES", size)
    monkeypatch.setattr("usersvc.store.activities.page_sql._CUT_MINUTES", 2)
    expected = []
    for number in range(6):
        user = await create(log.users, f"u{number}@corp.test")
        log.clock.advance(minutes=20)
        await update(log.users, user.id, title="Dr.")
        expected.insert(0, user.id)
    await number_by_create_time(db)
    rollup = ActivityRollup(database)

    async def updated() -> list[str]:
        """The users of all updates, page by page."""
        seen, token = [], ""
        while True:
            request = activity_pb2.ListActivitiesRequest(
                organization_id=ACME,
                actions=[Activity.ACTION_UPDATE_USER],
                page_size=2,
                page_token=token,
            )
            page = await log.activities.ListActivities(request)
            seen += [each.resource_id for each in page.activities]
            token = page.next_page_token
            if not token:
                return seen

    assert await updated() == expected
    while await rollup.roll_up():
        assert await updated() == expected


# Retention.


async def test_entries_after_retention_are_not_shown(activities, users, clock, users_url, db):
    """Their week may still be on disk."""
    clock.now = BEGAN
    await create(users, "ann@corp.test")
    await record_refusal(activities, clock)
    clock.advance(days=30, seconds=1)
    (old, older) = [
        row["number"]
        for row in await db.fetch(
            "SELECT number FROM changes UNION ALL SELECT number FROM refusals"
        )
    ]

    assert await list_activities(activities) == []
    assert await list_activities(activities, text="ann") == []
    for number in (old, older):
        request = activity_pb2.GetActivityRequest(organization_id=ACME, id=str(number))
        with refused(Reason.REASON_ACTIVITY_NOT_FOUND, grpc.StatusCode.NOT_FOUND):
            await activities.GetActivity(request)
    month = activity_pb2.CountActivitiesRequest(
        organization_id=ACME,
        start_time=to_timestamp(clock.now - timedelta(days=60)),
        end_time=to_timestamp(clock.now),
        width=activity_pb2.CountActivitiesRequest.WIDTH_DAY,
    )
    for _ in range(2):
        response = await activities.CountActivities(month)
        assert sum(each.succeeded + each.refused for each in response.counts) == 2
        clock.advance(hours=1)
        response = await activities.CountActivities(month)
        assert sum(each.succeeded + each.refused for each in response.counts) == 0
        clock.advance(hours=-1)
        await roll_up(users_url)


# Refusals.


async def test_trim_of_refusals_reads_only_organizations_with_new_ones(
    activities, clock, database, db, monkeypatch
):
    monkeypatch.setattr("usersvc.store.activities.refusals.MAX_REFUSALS", 2)
    store = RefusalStore(database)
    for number in range(4):
        await record_refusal(activities, clock, request_id=str(number))
    assert await store.delete_expired() == 2
    await db.execute("UPDATE refusals SET number = number - 1")  # not new: not read again
    monkeypatch.setattr("usersvc.store.activities.refusals.MAX_REFUSALS", 1)
    assert await store.delete_expired() == 0
    await record_refusal(activities, clock, request_id="new")
    assert await store.delete_expired() == 2

    assert [each.request_id for each in await list_activities(activities)] == ["new"]


async def test_refusals_are_trimmed_by_one_replica_at_a_time(
    activities, clock, database, users_url, monkeypatch
):
    monkeypatch.setattr("usersvc.store.activities.refusals.MAX_REFUSALS", 1)
    for _ in range(3):
        await record_refusal(activities, clock)
    other = await asyncpg.connect(users_url)
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(1919247989, 0)")  # "refu"
        assert await RefusalStore(database).delete_expired() == 0
    await other.close()

    assert await RefusalStore(database).delete_expired() == 2
