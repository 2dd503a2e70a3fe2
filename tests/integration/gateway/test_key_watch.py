"""The gateway's watch of keysvc's key changes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import structlog
from cloudacademy.keys.v1 import keys_pb2 as pb
from cloudacademy.keys.v1 import keys_pb2_grpc

from gateway.auth.key_cache import watch_keys
from gateway.backend import watch
from tests.support.servers import listening
from tests.support.waiting import eventually

LOG = structlog.wrap_logger(structlog.ReturnLogger())


class StuckWatch(keys_pb2_grpc.KeyServiceServicer):
    """Sends one event on each stream and nothing after it."""

    def __init__(self) -> None:
        self.streams = 0

    async def WatchKeys(  # noqa: N802 - the contract's name
        self, request: pb.WatchKeysRequest, context: Any
    ) -> AsyncIterator[pb.WatchKeysResponse]:
        self.streams += 1
        yield pb.WatchKeysResponse(reset=pb.WatchKeysResponse.Reset())
        await asyncio.Event().wait()


async def test_watch_without_events_is_opened_again(monkeypatch):
    monkeypatch.setattr(watch, "MAX_SILENCE_SECONDS", 0.1)
    server, servicer = grpc.aio.server(), StuckWatch()
    keys_pb2_grpc.add_KeyServiceServicer_to_server(servicer, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        watching = asyncio.create_task(watch_keys(keys_pb2_grpc.KeyServiceStub(channel), LOG))
        await eventually(lambda: servicer.streams >= 3)
        watching.cancel()
        await asyncio.wait([watching])
    assert watching.cancelled()
