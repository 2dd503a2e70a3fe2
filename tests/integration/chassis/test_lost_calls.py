"""Failed calls that may still arrive: gRPC reports them only in the English text of an error.

These tests fail when a version of gRPC changes that text.
"""

import asyncio
import ctypes
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc
import pytest

from chassis.errors import DATABASE_UNAVAILABLE, INTERNAL, Refusal
from chassis.rpc import channel as channels
from chassis.rpc.channel import may_still_arrive
from chassis.rpc.status import to_trailing_metadata
from tests.support.chassis.echoes import ECHO, HOLD, EchoServer, echo_server, until
from tools.chaos.proxy import Proxy

SO_ATTACH_FILTER: Final = 26
DROP_ALL: Final = struct.pack("HBBI", 0x06, 0, 0, 0)
"""A program of one classic BPF instruction: keep 0 bytes of each packet."""


class BlackHole(Proxy):
    """A proxy whose connections can lose every packet, so that not even TCP acknowledges one."""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted = writer.get_extra_info("socket")
        await super()._accept(reader, writer)

    def drop_packets(self) -> None:
        instructions = ctypes.create_string_buffer(DROP_ALL)
        program = struct.pack("HL", 1, ctypes.addressof(instructions))
        with socket.socket(fileno=os.dup(self.accepted.fileno())) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as running:
        yield running


@pytest.fixture
async def network(server: EchoServer) -> AsyncIterator[BlackHole]:
    proxy = BlackHole(("127.0.0.1", server.port))
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture(autouse=True)
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "KEEPALIVE_SECONDS", 0.3)
    monkeypatch.setattr(channels, "KEEPALIVE_TIMEOUT_SECONDS", 0.3)


@asynccontextmanager
async def connected(network: BlackHole) -> AsyncIterator[grpc.aio.Channel]:
    async with channels.connect(f"127.0.0.1:{network.port}", {}) as channel:
        await channel.unary_unary(ECHO)(b"", timeout=10, wait_for_ready=True)
        yield channel


async def failure(channel: grpc.aio.Channel, method: str = HOLD) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(method)(b"", timeout=10)
    return caught.value


async def held_failure(
    channel: grpc.aio.Channel, server: EchoServer
) -> "asyncio.Task[grpc.RpcError]":
    """A call that the server has begun and that has not failed yet."""
    task = asyncio.create_task(failure(channel))
    await until(lambda: server.service.held == 1)
    return task


async def test_call_on_a_stalled_connection_may_arrive(server: EchoServer, network: BlackHole):
    async with connected(network) as channel:
        network.hold()
        error = await failure(channel)

    assert (error.code(), may_still_arrive(error)) == (grpc.StatusCode.UNAVAILABLE, True)


async def test_call_whose_packets_are_lost_may_arrive(server: EchoServer, network: BlackHole):
    async with connected(network) as channel:
        network.drop_packets()
        error = await failure(channel)

    assert (error.code(), may_still_arrive(error)) == (grpc.StatusCode.UNAVAILABLE, True)


async def test_call_ended_by_tcp_user_timeout_may_arrive(
    server: EchoServer, network: BlackHole, monkeypatch: pytest.MonkeyPatch
):
    """TCP_USER_TIMEOUT, which gRPC sets as well, may end the connection before the ping does."""
    options = [
        option for option in channels._options({}, "") if option[0] != "grpc.http2.ping_timeout_ms"
    ]
    options += [("grpc.http2.ping_timeout_ms", 60_000)]
    monkeypatch.setattr(channels, "_options", lambda *_: options)
    async with connected(network) as channel:
        network.drop_packets()
        error = await failure(channel)

    assert (error.code(), may_still_arrive(error)) == (grpc.StatusCode.UNAVAILABLE, True)


async def test_call_on_a_connection_that_was_closed_cannot_arrive(
    server: EchoServer, network: BlackHole
):
    async with connected(network) as channel:
        call = await held_failure(channel, server)
        await network.stop()
        error = await call

    assert (error.code(), may_still_arrive(error)) == (grpc.StatusCode.UNAVAILABLE, False)


async def test_call_to_a_closed_port_cannot_arrive(server: EchoServer, network: BlackHole):
    await network.stop()
    async with channels.connect(f"127.0.0.1:{network.port}", {}) as channel:
        error = await failure(channel)

    assert (error.code(), may_still_arrive(error)) == (grpc.StatusCode.UNAVAILABLE, False)


@pytest.mark.parametrize(
    "refusal",
    [Refusal(INTERNAL, "ping timeout"), Refusal(DATABASE_UNAVAILABLE)],
    ids=lambda refusal: refusal.reason,
)
def test_refused_call_cannot_arrive_whatever_its_text(refusal: Refusal):
    """The text of a refusal may contain user input: a name, an attribute, an id."""
    trailing = grpc.aio.Metadata(*to_trailing_metadata(refusal))
    code = grpc.StatusCode.UNAVAILABLE
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, "ping timeout")

    assert not may_still_arrive(error)
