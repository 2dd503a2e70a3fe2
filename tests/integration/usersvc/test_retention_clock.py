"""Retention by a replica whose clock is wrong: the clock of the database decides."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.walks_pb2_grpc import WalkServiceStub

import usersvc.background.retention
from chassis.concurrency.waiting import wait_for_event
from tests.support.clocks import StoppedClock
from tests.support.usersvc.activity_calls import record_refusal
from tests.support.usersvc.services import open_port
from tests.support.usersvc.session_calls import create_link, sign_in_with_assertion
from tests.support.usersvc.user_calls import ACME, create, delete
from tests.support.usersvc.walk_calls import save_walk
from tests.support.waiting import eventually

AHEAD = timedelta(days=120)
"""Longer than any retention period."""
TABLES = (
    "changes",
    "refusals",
    "create_requests",
    "sessions",
    "sign_in_links",
    "taken_assertions",
    "deleted_identities",
    "list_walks",
)
MARKER = uuid4()
"""The request id of a row that has expired by the clock of the database."""


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(datetime.now(UTC))


async def counts(db: asyncpg.Connection) -> dict[str, int]:
    return {table: await db.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


async def insert_expired_request(db: asyncpg.Connection) -> None:
    """Insert a request that a retention pass deletes."""
    await db.execute(
        """
        INSERT INTO create_requests (organization_id, request_id, digest, create_time)
        VALUES ($1, $2, sha256('x'), now() - interval '25 hours')
        """,
        ACME, MARKER,
    )  # fmt: skip


async def test_replica_with_clock_months_ahead_deletes_no_row_too_early(
    users, sessions, activities, clock, *, channel, users_url, db, monkeypatch
):
    request = users_pb2.CreateUserRequest(
        organization_id=ACME, user=users_pb2.User(user_name="ann"), request_id=str(uuid4())
    )
    ann = (await users.CreateUser(request)).user
    await sign_in_with_assertion(sessions, clock.now, email="ann")
    await create_link(sessions, ann.id)
    await delete(users, (await create(users, "bob")).id)
    await record_refusal(activities, clock)
    await save_walk(WalkServiceStub(channel))
    before = await counts(db)
    passes = asyncio.Event()

    async def wait_briefly(event: asyncio.Event, _: float) -> bool:
        passes.set()
        return await wait_for_event(event, 0.01)

    monkeypatch.setattr(usersvc.background.retention, "wait_for_event", wait_briefly)
    async with open_port(users_url, StoppedClock(clock.now + AHEAD)):
        for _ in range(2):  # the second pass has begun after all statements of the first one
            await insert_expired_request(db)
            await eventually(
                lambda: db.fetchval(
                    "SELECT NOT EXISTS (SELECT FROM create_requests WHERE request_id = $1)", MARKER
                )
            )

    assert all(before.values())
    assert await counts(db) == before
