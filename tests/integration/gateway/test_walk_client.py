"""What the gateway does when usersvc cannot find or store a walk."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from cloudacademy.users.v1 import walks_pb2 as pb
from cloudacademy.users.v1 import walks_pb2_grpc

from chassis.errors import DATABASE_UNAVAILABLE, OVERLOADED, WRITES_STALLED, Refusal, RefusalKind
from chassis.rpc.status import to_trailing_metadata
from gateway.backend.client import Origin
from gateway.backend.errors import RefusedError
from gateway.backend.walks import WalkClient
from tests.support.servers import listening

ORIGIN = Origin("r")


class RefusingWalks(walks_pb2_grpc.WalkServiceServicer):
    """Refuses each call in one way."""

    def __init__(self, kind: RefusalKind[()]) -> None:
        self._refusal = Refusal(kind)

    async def FindWalk(  # noqa: N802 - the name in the proto file
        self, request: pb.FindWalkRequest, context: Any
    ) -> pb.FindWalkResponse:
        return await self._refuse(context)

    async def SaveWalk(  # noqa: N802
        self, request: pb.SaveWalkRequest, context: Any
    ) -> pb.SaveWalkResponse:
        return await self._refuse(context)

    async def _refuse(self, context: Any) -> Any:
        context.set_trailing_metadata(to_trailing_metadata(self._refusal))
        await context.abort(self._refusal.code, "refused")


@asynccontextmanager
async def client(kind: RefusalKind[()] | None) -> AsyncIterator[WalkClient]:
    """A client of a usersvc that refuses; None means a release without the service."""
    server = grpc.aio.server()
    if kind is not None:
        walks_pb2_grpc.add_WalkServiceServicer_to_server(RefusingWalks(kind), server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield WalkClient(channel)


async def test_release_without_walks_has_no_walk_and_stores_none():
    async with client(None) as walks:
        assert await walks.find(pb.FindWalkRequest(), ORIGIN) is None
        await walks.save(pb.SaveWalkRequest(), ORIGIN)


@pytest.mark.parametrize("kind", [DATABASE_UNAVAILABLE, WRITES_STALLED])
async def test_database_that_refuses_writes_does_not_fail_the_page(kind):
    async with client(kind) as walks:
        await walks.save(pb.SaveWalkRequest(), ORIGIN)


async def test_walk_that_may_exist_is_not_ignored():
    async with client(DATABASE_UNAVAILABLE) as walks:
        with pytest.raises(RefusedError):
            await walks.find(pb.FindWalkRequest(), ORIGIN)


async def test_page_fails_if_an_available_database_did_not_store_its_walk():
    async with client(OVERLOADED) as walks:
        with pytest.raises(RefusedError):
            await walks.save(pb.SaveWalkRequest(), ORIGIN)
