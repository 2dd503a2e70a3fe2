"""usersvc while the synchronous standby is cut off, and after the failover to it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from uuid import uuid4

import grpc
import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceStub
from cloudacademy.users.v1.changes_pb2_grpc import ChangeServiceStub
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub
from cloudacademy.users.v1.schemas_pb2_grpc import SchemaServiceStub
from cloudacademy.users.v1.sessions_pb2_grpc import SessionServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from chassis.errors import WRITES_STALLED
from chassis.rpc.status import from_rpc_error
from tests.support.clocks import StoppedClock
from tests.support.databases import migrate_usersvc
from tests.support.postgres import temporary_replicated_postgres
from tests.support.usersvc.activity_calls import record_refusal
from tests.support.usersvc.change_calls import Reader, read_snapshot, watch_changes
from tests.support.usersvc.group_calls import create_group
from tests.support.usersvc.schema_calls import create_schema
from tests.support.usersvc.services import open_channel
from tests.support.usersvc.session_calls import (
    create_link,
    end_session,
    follow_link,
    get_session,
    sign_in_with_link,
)
from tests.support.usersvc.user_calls import ACME, create, delete, list_users, refused, update
from tests.support.waiting import eventually
from tools.chaos.standby import ReplicatedCluster

LOST = (Reason.REASON_INVALID_CHANGE_TOKEN, grpc.StatusCode.INVALID_ARGUMENT)


@pytest.fixture
def cluster() -> Iterator[ReplicatedCluster]:
    with temporary_replicated_postgres() as cluster:
        yield cluster


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def channel(
    cluster: ReplicatedCluster, clock: StoppedClock
) -> AsyncIterator[grpc.aio.Channel]:
    url = cluster.primary.create_role_and_database("users", "usersvc", "password")
    await asyncio.to_thread(migrate_usersvc, url)
    async with open_channel(url, clock) as channel:
        yield channel


@pytest.fixture
def users(channel: grpc.aio.Channel) -> UserServiceStub:
    return UserServiceStub(channel)


@pytest.fixture
def changes(channel: grpc.aio.Channel) -> ChangeServiceStub:
    return ChangeServiceStub(channel)


async def names(users: UserServiceStub) -> set[str]:
    return {user.user_name for user in (await list_users(users)).users}


async def create_eventually(users: UserServiceStub, user_name: str) -> users_pb2.User:
    """Repeat a create until the database can be reached."""

    async def attempt() -> users_pb2.User | None:
        with suppress(grpc.aio.AioRpcError):
            return await create(users, user_name)
        return None

    created = await eventually(attempt)
    assert created is not None
    return created


async def test_create_in_doubt_is_answered_to_nobody_and_a_failover_loses_nothing(
    cluster, users, changes
):
    await create(users, "ann")
    async with watch_changes(changes, (await read_snapshot(changes)).token) as reader:
        cluster.cut_off_standby()
        request = users_pb2.CreateUserRequest(
            organization_id=ACME,
            user=users_pb2.User(user_name="bob"),
            request_id=str(uuid4()),
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await users.CreateUser(request, timeout=1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        # A repetition, and another create of the same name, wait for the first.
        repetitions = [users.CreateUser(request), create(users, "bob")]
        for outcome in await asyncio.gather(*repetitions, return_exceptions=True):
            assert isinstance(outcome, grpc.aio.AioRpcError)
            assert from_rpc_error(outcome).reason == "DATABASE_UNAVAILABLE"
        assert await names(users) == {"ann"}
        assert reader.seen == []

        cluster.fail_over_at_same_address()

        await create_eventually(users, "bob")
        await create(users, "carl")
        assert await names(users) == {"ann", "bob", "carl"}
        token = reader.token
    async with watch_changes(changes, token) as reader:
        assert len(await reader.until(2)) == 2


async def test_all_writes_are_refused_at_once_while_commits_are_stalled(
    cluster, channel, users, clock
):
    ann = await create(users, "ann")
    sessions, groups = SessionServiceStub(channel), GroupServiceStub(channel)
    session = await sign_in_with_link(sessions, ann.id)
    link = await create_link(sessions, ann.id)
    cluster.cut_off_standby()
    with pytest.raises(grpc.aio.AioRpcError):
        await create(users, "bob")

    for write in (
        create(users, "carl"),
        update(users, ann.id, title="Dr."),
        delete(users, ann.id),
        create_group(groups, "Team"),
        create_schema(SchemaServiceStub(channel)),
        record_refusal(ActivityServiceStub(channel), clock),
        create_link(sessions, ann.id),
        follow_link(sessions, link),
        end_session(sessions, session),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await write
        assert caught.value.details() == WRITES_STALLED.detail

    assert cluster.waiting_commits() == 1
    assert await names(users) == {"ann"}
    clock.advance(minutes=10)  # after which a session is extended
    before = (await get_session(sessions, session)).expire_time
    cluster.reconnect_standby()
    await eventually(lambda: cluster.waiting_commits() == 0)
    await create_eventually(users, "carl")
    assert (await get_session(sessions, session)).expire_time.ToDatetime() > before.ToDatetime()


async def test_feed_refuses_positions_that_a_failover_lost(cluster, users, changes):
    await create(users, "ann")
    kept = (await read_snapshot(changes)).token
    cluster.primary.query("ALTER SYSTEM SET synchronous_standby_names = '';")
    cluster.primary.query("SELECT pg_reload_conf();")
    cluster.cut_off_standby()
    async with watch_changes(changes, kept) as reader:
        for number in range(3):
            await create(users, f"lost-{number}")
        await reader.until(3)

        cluster.fail_over_at_same_address()

        # Other changes get the numbers of the lost ones.
        for number in range(40):
            await create_eventually(users, f"new-{number}")
        with refused(*LOST):
            await until_refused(reader)
    with refused(*LOST):
        async with watch_changes(changes, reader.token):
            pass
    async with watch_changes(changes, kept) as reader:
        assert len(await reader.until(40)) == 40


async def until_refused(reader: Reader) -> None:
    """Read until the stream is refused. A connection that was lost ends it with another error."""
    while True:
        await reader.more()
