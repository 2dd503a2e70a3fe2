"""WatchSchemas: changes of schemas reach the streams of all replicas."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from cloudacademy.users.v1 import schemas_pb2 as pb
from cloudacademy.users.v1.schemas_pb2_grpc import SchemaServiceStub

from tests.support.clocks import StoppedClock
from tests.support.usersvc.schema_calls import (
    BADGE,
    create_schema,
    delete_schema,
    schema_exists,
    schema_in_use,
    schema_not_found,
)
from tests.support.usersvc.schema_calls import badge as badge_values
from tests.support.usersvc.services import open_port
from tests.support.usersvc.user_calls import ACME, GLOBEX, create
from tests.support.waiting import eventually


class Watcher:
    """A caller with a stream, from its first heartbeat on."""

    def __init__(self, stub: SchemaServiceStub) -> None:
        self._stub = stub
        self.kinds: list[str] = []
        self.changed: list[str] = []
        self.status: grpc.StatusCode | None = None

    async def follow(self) -> None:
        while True:  # the feed connects to the database after the server has started
            try:
                async for event in self._stub.WatchSchemas(pb.WatchSchemasRequest()):
                    self._add(event)
            except grpc.aio.AioRpcError as error:
                self.status = error.code()
            if self.kinds:
                return

    def _add(self, event: pb.WatchSchemasResponse) -> None:
        self.kinds.append(event.WhichOneof("event"))
        if event.HasField("organization_change"):
            self.changed.append(event.organization_change.organization_id)


@asynccontextmanager
async def watching(stub: SchemaServiceStub) -> AsyncIterator[Watcher]:
    watcher = Watcher(stub)
    task = asyncio.create_task(watcher.follow())
    await eventually(lambda: "heartbeat" in watcher.kinds)
    watcher.status = None
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def other(users_url: str, clock: StoppedClock) -> AsyncIterator[SchemaServiceStub]:
    """A second replica on the same database."""
    async with (
        open_port(users_url, clock) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield SchemaServiceStub(channel)


async def test_each_change_reaches_streams_of_another_replica_once(schemas, users, other):
    async with watching(other) as watcher:
        await create_schema(schemas)
        with schema_exists():
            await create_schema(schemas)
        with schema_not_found():
            await delete_schema(schemas, organization_id=GLOBEX)
        await create(users, user_name="ann", extensions=badge_values(number="7"))
        with schema_in_use():
            await delete_schema(schemas)
        await create_schema(schemas, organization_id=GLOBEX)
        await delete_schema(schemas, BADGE.upper(), organization_id=GLOBEX)
        await eventually(lambda: len(watcher.changed) == 3)

    assert watcher.changed == [ACME, GLOBEX, GLOBEX]
    assert watcher.kinds[0] == "reset"


async def test_graceful_stop_ends_streams_without_an_error(users_url, clock):
    async with open_port(users_url, clock) as port:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        stub = SchemaServiceStub(channel)
        watcher = Watcher(stub)
        task = asyncio.create_task(watcher.follow())
        await eventually(lambda: watcher.kinds)
        watcher.status = None
    await asyncio.wait([task])
    await channel.close()

    assert (watcher.kinds[0], watcher.status) == ("reset", None)
