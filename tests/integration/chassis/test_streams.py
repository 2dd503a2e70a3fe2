"""Streams whose caller reads slowly or not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from structlog.testing import LogCapture

from chassis.rpc.interceptor import ServerInterceptor
from tests.support.chassis.echoes import until
from tests.support.servers import listening

METHOD = "/test.Stream/Read"
MESSAGE = b"x" * 500_000


class Endless:
    """A service with an endless stream, behind an interceptor with given limits."""

    def __init__(self, **limits: Any) -> None:
        self.capture = LogCapture()
        self.closed = 0
        self.interceptor = ServerInterceptor(structlog.wrap_logger(None, [self.capture]), **limits)

    async def read(self, _request: bytes, _: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield MESSAGE
        finally:
            self.closed += 1

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A channel to a server of this stream."""
        server = grpc.aio.server(interceptors=[self.interceptor])
        handler = grpc.unary_stream_rpc_method_handler(self.read)
        service = grpc.method_handlers_generic_handler("test.Stream", {"Read": handler})
        server.add_generic_rpc_handlers((service,))
        async with (
            listening(server) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield channel

    @property
    def outcomes(self) -> list[str]:
        return [entry["outcome"] for entry in self.capture.entries if entry["event"] == "call"]

    @property
    def faults(self) -> list[Any]:
        return [entry for entry in self.capture.entries if entry["event"] == "internal error"]


async def test_unread_stream_ends_with_deadline_exceeded():
    endless = Endless(write_seconds=0.3)
    async with endless.channel() as channel:
        call = channel.unary_stream(METHOD)(b"")
        await call.read()
        await until(lambda: endless.closed == 1)
        status = None
        while status is None:
            try:
                assert await call.read() is not grpc.aio.EOF
            except grpc.aio.AioRpcError as error:
                status = error

    assert status.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "did not read" in status.details()
    assert (endless.outcomes, endless.faults) == (["DEADLINE_EXCEEDED"], [])


async def test_a_stalled_stream_keeps_its_slot_until_its_caller_is_gone():
    """Its unsent messages stay in memory until then."""
    endless = Endless(write_seconds=0.3, max_calls=1)
    async with endless.channel() as channel:
        stalled = channel.unary_stream(METHOD)(b"")
        await stalled.read()
        await until(lambda: endless.closed == 1)
        assert await channel.unary_stream(METHOD)(b"").code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        stalled.cancel()
        async with asyncio.timeout(20):
            while True:
                call = channel.unary_stream(METHOD)(b"")
                try:
                    assert await call.read() == MESSAGE
                except grpc.aio.AioRpcError:
                    continue
                break
        call.cancel()

    assert endless.faults == []


async def test_slowly_read_stream_ends_at_its_time_limit():
    endless = Endless(stream_seconds={METHOD: 0.5})
    async with endless.channel() as channel:
        call = channel.unary_stream(METHOD)(b"")
        code = None
        async with asyncio.timeout(20):
            while code is None:
                try:
                    await call.read()
                except grpc.aio.AioRpcError as error:
                    code = error.code()

    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert endless.closed == 1


async def test_cancelled_stalled_stream_is_not_logged_as_an_error(caplog):
    endless = Endless(write_seconds=600.0)
    async with endless.channel() as channel:
        call = channel.unary_stream(METHOD)(b"")
        await call.read()
        call.cancel()
        await until(lambda: endless.closed == 1)
        await until(lambda: bool(endless.outcomes))

    assert (endless.outcomes, endless.faults, caplog.records) == (["CANCELLED"], [], [])
