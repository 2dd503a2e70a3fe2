"""A running user service on a socket of its own, with a database of its own."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import grpc
import pytest
import structlog
from cloudacademy.batch.v1.batch_pb2_grpc import add_BatchServiceServicer_to_server
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.activity_pb2_grpc import (
    ActivityServiceStub,
    add_ActivityServiceServicer_to_server,
)
from cloudacademy.users.v1.changes_pb2_grpc import (
    ChangeServiceStub,
    add_ChangeServiceServicer_to_server,
)
from cloudacademy.users.v1.groups_pb2_grpc import (
    GroupServiceStub,
    add_GroupServiceServicer_to_server,
)
from cloudacademy.users.v1.schemas_pb2_grpc import (
    SchemaServiceStub,
    add_SchemaServiceServicer_to_server,
)
from cloudacademy.users.v1.sessions_pb2_grpc import (
    SessionServiceStub,
    add_SessionServiceServicer_to_server,
)
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server

from chassis.concurrency.notifier import Bell
from chassis.database.pool import Database
from chassis.rpc.interceptor import WRITE_SECONDS, Envelope
from chassis.rpc.local_dispatcher import LocalDispatcher
from tests.support.postgres import Template, TestPostgres
from usersvc.__main__ import FEED_CONNECTIONS, migrate
from usersvc.background.feed import ChangeFeed
from usersvc.rpc.activities import ActivitiesServicer
from usersvc.rpc.batching.servicer import CARRIERS, BatchServicer
from usersvc.rpc.changes import STREAM_SECONDS, ChangesServicer
from usersvc.rpc.groups import GroupsServicer
from usersvc.rpc.schemas import SchemasServicer
from usersvc.rpc.sessions import SessionsServicer
from usersvc.rpc.users import UsersServicer
from usersvc.store.activities import ActivityStore
from usersvc.store.changes import ChangeStore, Listener
from usersvc.store.groups import GroupStore
from usersvc.store.listing.lists import Lists
from usersvc.store.schemas import SchemaStore
from usersvc.store.sessions import SessionStore
from usersvc.store.users import UserStore

ROOT = Path(__file__).parents[3]
Outcome = tuple[int, str, str]
Run = Callable[..., "asyncio.Future[Outcome]"]


@pytest.fixture(scope="session")
def users_template(postgres_cluster: TestPostgres) -> Template:
    return postgres_cluster.template("users", migrate=lambda url: asyncio.run(migrate(url)))


@pytest.fixture
def users_url(users_template: Template) -> Iterator[str]:
    with users_template.database() as url:
        yield url


@dataclass
class StoppedClock:
    """A clock that moves when it is told to."""

    now: datetime = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@asynccontextmanager
async def open_port(
    url: str,
    clock: StoppedClock,
    *,
    stream_seconds: Mapping[str, float] = STREAM_SECONDS,
    write_seconds: float = WRITE_SECONDS,
) -> AsyncIterator[int]:
    """The port of a running process's worth of services."""
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))  # pytest shows it for failures
    stop = asyncio.Event()
    async with (
        Database(url, "usersvc") as database,
        Database(url, "usersvc-changes", FEED_CONNECTIONS) as feed_database,
        asyncio.TaskGroup() as tasks,
    ):
        envelope = Envelope(
            log, carriers=CARRIERS, stream_seconds=stream_seconds, write_seconds=write_seconds
        )
        server, dispatcher = grpc.aio.server(interceptors=[envelope]), LocalDispatcher(envelope)
        add_BatchServiceServicer_to_server(BatchServicer(dispatcher, stop), server)
        lists, schema_store, bell = Lists(database), SchemaStore(database), Bell()
        users = UsersServicer(UserStore(database, lists, bell), schema_store, clock)
        add_UserServiceServicer_to_server(users, server)
        dispatcher.add(users_pb2.DESCRIPTOR.services_by_name["UserService"], users)
        groups = GroupsServicer(GroupStore(database, lists, bell), clock)
        add_GroupServiceServicer_to_server(groups, server)
        add_SchemaServiceServicer_to_server(SchemasServicer(schema_store, clock), server)
        sessions = SessionsServicer(SessionStore(database, bell), clock, secrets.token_bytes)
        add_SessionServiceServicer_to_server(sessions, server)
        activities = ActivitiesServicer(ActivityStore(database), clock)
        add_ActivityServiceServicer_to_server(activities, server)
        change_store = ChangeStore(feed_database)
        feed = ChangeFeed(change_store, Listener(feed_database), bell, clock, log)
        add_ChangeServiceServicer_to_server(ChangesServicer(feed, change_store), server)
        tasks.create_task(feed.follow(stop))
        tasks.create_task(feed.end(stop))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield port
        finally:
            stop.set()
            await server.stop(None)


@asynccontextmanager
async def open_channel(url: str, clock: StoppedClock) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a running process's worth of services, over a real socket."""
    async with (
        open_port(url, clock) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


@asynccontextmanager
async def running_service(url: str, clock: StoppedClock) -> AsyncIterator[UserServiceStub]:
    """The service of users, as `serve` wires it."""
    async with open_channel(url, clock) as channel:
        yield UserServiceStub(channel)


@pytest.fixture
async def users_port(users_url: str, clock: StoppedClock) -> AsyncIterator[int]:
    async with open_port(users_url, clock) as port:
        yield port


@pytest.fixture
async def channel(users_port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{users_port}") as channel:
        yield channel


@pytest.fixture
def users(channel: grpc.aio.Channel) -> UserServiceStub:
    return UserServiceStub(channel)


@pytest.fixture
def groups(channel: grpc.aio.Channel) -> GroupServiceStub:
    """The service of groups, in the same process and on the same database as `users`."""
    return GroupServiceStub(channel)


@pytest.fixture
def changes(channel: grpc.aio.Channel) -> ChangeServiceStub:
    """The feed of what `users` and `groups` do."""
    return ChangeServiceStub(channel)


@pytest.fixture
def activities(channel: grpc.aio.Channel) -> ActivityServiceStub:
    """The log of what `users` and `groups` do."""
    return ActivityServiceStub(channel)


@pytest.fixture
def schemas(channel: grpc.aio.Channel) -> SchemaServiceStub:
    """The service of schemas, in the same process and on the same database as `users`."""
    return SchemaServiceStub(channel)


@pytest.fixture
def sessions(channel: grpc.aio.Channel) -> SessionServiceStub:
    """The service of sessions, in the same process and on the same database as `users`."""
    return SessionServiceStub(channel)


@pytest.fixture
async def db(users_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A look at the tables beside the service."""
    connection = await asyncpg.connect(users_url)
    yield connection
    await connection.close()


@pytest.fixture
def run(users_url: str) -> Run:
    """Carries out a command: its exit code, what it printed and what it complained of."""

    def usersvc(*arguments: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "usersvc", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": ".:build", "USERSVC_DATABASE_URL": users_url},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return lambda *arguments: asyncio.to_thread(usersvc, *arguments)
