"""A usersvc in the test process, with its own port and database, and its gRPC stubs."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import grpc
import pytest
from cloudacademy.users.v1.activity_pb2_grpc import (
    ActivityServiceStub,
)
from cloudacademy.users.v1.changes_pb2_grpc import (
    ChangeServiceStub,
)
from cloudacademy.users.v1.groups_pb2_grpc import (
    GroupServiceStub,
)
from cloudacademy.users.v1.schemas_pb2_grpc import (
    SchemaServiceStub,
)
from cloudacademy.users.v1.sessions_pb2_grpc import (
    SessionServiceStub,
)
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from tests.support.clocks import StoppedClock
from tests.support.usersvc.commands import Run, run_command
from tests.support.usersvc.services import open_port


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


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
    """The GroupService in the same process and on the same database as `users`."""
    return GroupServiceStub(channel)


@pytest.fixture
def changes(channel: grpc.aio.Channel) -> ChangeServiceStub:
    """The feed of changes made through `users` and `groups`."""
    return ChangeServiceStub(channel)


@pytest.fixture
def activities(channel: grpc.aio.Channel) -> ActivityServiceStub:
    """The provisioning log of `users` and `groups`."""
    return ActivityServiceStub(channel)


@pytest.fixture
def schemas(channel: grpc.aio.Channel) -> SchemaServiceStub:
    """The SchemaService in the same process and on the same database as `users`."""
    return SchemaServiceStub(channel)


@pytest.fixture
def sessions(channel: grpc.aio.Channel) -> SessionServiceStub:
    """The SessionService in the same process and on the same database as `users`."""
    return SessionServiceStub(channel)


@pytest.fixture
async def db(users_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A direct connection to the service's database."""
    connection = await asyncpg.connect(users_url)
    yield connection
    await connection.close()


@pytest.fixture
def run(users_url: str) -> Run:
    """Run a command of usersvc; returns its exit code, standard output and standard error."""
    return lambda *arguments: asyncio.to_thread(run_command, users_url, *arguments)
