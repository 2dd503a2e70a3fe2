"""Health and reflection calls go through admission control, with their own limits."""

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from chassis.config.settings import Address, ServerSettings
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import ACCEPTS_CALLS, connect
from chassis.rpc.health import MAX_NAME
from chassis.rpc.public_calls import KNOWN_WATCHES, OTHER_WATCHES, REFLECTIONS
from chassis.rpc.server import MAX_STREAMS
from chassis.rpc.status import from_rpc_error
from tests.support.chassis.authorities import Authority
from tests.support.chassis.echoes import ECHO, OPEN, EchoServer, echo_server, until
from tests.support.waiting import eventually

LOG = structlog.wrap_logger(structlog.ReturnLogger())
WATCHES = 2_000
CONNECTIONS = 40
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
"""The options of a channel that shares no connection."""
CHECK = health_pb2.HealthCheckRequest()


class Watches:
    """Health streams of a client that opens as many as it can."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def decided(self) -> int:
        return self.outcomes.total()

    def open(self, channel: grpc.aio.Channel, number: int) -> None:
        stub = health_pb2_grpc.HealthStub(channel)
        self._tasks += [asyncio.create_task(self._watch(stub)) for _ in range(number)]

    async def _watch(self, stub: health_pb2_grpc.HealthStub) -> None:
        call = stub.Watch(CHECK)
        try:
            async for _ in call:
                self.outcomes["open"] += 1
        except grpc.aio.AioRpcError as error:
            self.outcomes[from_rpc_error(error).reason] += 1

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)


@asynccontextmanager
async def watches(channels: list[grpc.aio.Channel], number: int) -> AsyncIterator[Watches]:
    """Open `number` health streams over the channels, and wait until each is open or refused."""
    opened = Watches()
    for channel in channels:
        opened.open(channel, number // len(channels))
    try:
        await until(lambda: opened.decided == number)
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def strangers(
    server: EchoServer,
    credentials: grpc.ChannelCredentials | None = None,
    number: int = CONNECTIONS,
) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Connections of a client that is not one of our services."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                grpc.aio.secure_channel(server.target, credentials, OWN_CONNECTION)
                if credentials
                else grpc.aio.insecure_channel(server.target, OWN_CONNECTION)
            )
            for _ in range(number)
        ]


async def assert_served(channel: grpc.aio.Channel) -> None:
    """Assert that an ordinary call and a health check get responses."""
    assert await channel.unary_unary(ECHO)(b"hello", timeout=5) == b"hello"
    stub = health_pb2_grpc.HealthStub(channel)
    response = await stub.Check(CHECK, timeout=5)
    assert response.status == health_pb2.HealthCheckResponse.SERVING


async def test_thousands_of_health_streams_do_not_block_calls():
    async with echo_server() as server, strangers(server, number=10) as channels:
        await until(lambda: bool(server.logged("health")))
        async with (
            watches(channels, WATCHES) as opened,
            connect(server.target, {}) as channel,
        ):
            await assert_served(channel)

    # gRPC itself refuses streams that begin before earlier ones have left the connection.
    assert opened.outcomes["open"] == 10 * KNOWN_WATCHES.connection
    outcomes = Counter(call["outcome"] for call in server.logged("call"))
    assert outcomes["OVERLOADED"] == opened.outcomes["OVERLOADED"] > WATCHES / 2


async def test_health_streams_of_strangers_do_not_starve_gateways(tmp_path: Path):
    authority = Authority()
    tls = authority.issue(tmp_path / "server", "usersvc")
    gateway = Certificates(authority.issue(tmp_path / "gateway", "gateway"), LOG)
    stranger = Certificates(authority.issue(tmp_path / "other", "stranger"), LOG).for_channel()
    settings = ServerSettings(Address("127.0.0.1", 0), tls)
    async with (
        echo_server(settings) as server,
        strangers(server, stranger) as channels,
        watches(channels, WATCHES) as opened,
        AsyncExitStack() as stack,
    ):
        assert opened.outcomes["open"] == OTHER_WATCHES.host
        for _ in range(30):
            channel = await stack.enter_async_context(connect(server.target, {}, gateway))
            await assert_served(channel)


async def test_ended_health_stream_releases_its_slot():
    async with echo_server() as server, strangers(server, number=1) as channels:
        for _ in range(3):
            async with watches(channels, 2 * KNOWN_WATCHES.connection) as opened:
                assert opened.outcomes["open"] == KNOWN_WATCHES.connection
            await eventually(partial(watch_opens, health_pb2_grpc.HealthStub(channels[0])))


async def watch_opens(stub: health_pb2_grpc.HealthStub) -> bool:
    call = stub.Watch(CHECK)
    try:
        return await call.read() is not grpc.aio.EOF
    except grpc.aio.AioRpcError:
        return False
    finally:
        call.cancel()


async def test_reflection_streams_have_their_own_limit():
    async with echo_server() as server, strangers(server, number=20) as channels:
        # A write on a refused stream races with its status, so only open streams are written to.
        calls = [
            reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
            for channel in channels * 2
        ]
        codes = [asyncio.ensure_future(call.code()) for call in calls]
        refused = [
            await code for code in islice(asyncio.as_completed(codes), 40 - REFLECTIONS.host)
        ]
        for call in calls:
            if not call.done():
                await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
                assert (await call.read()).HasField("list_services_response")
        await assert_served(channels[0])
        for call in calls:
            call.cancel()

    assert Counter(code.name for code in refused) == {"RESOURCE_EXHAUSTED": 40 - REFLECTIONS.host}


async def test_health_stream_for_a_long_service_name_is_refused():
    async with echo_server() as server, connect(server.target, {}) as channel:
        request = health_pb2.HealthCheckRequest(service="x" * (MAX_NAME + 1))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health_pb2_grpc.HealthStub(channel).Watch(request).read()
    assert from_rpc_error(caught.value).reason == "INVALID_FIELD"


async def test_health_check_of_an_unknown_service_is_not_found():
    async with echo_server() as server, connect(server.target, {}) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=5)
        listed = await stub.List(health_pb2.HealthListRequest(), timeout=5)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    assert ACCEPTS_CALLS in listed.statuses
    assert server.logged("internal error") == []


# HTTP/2 frames that no gRPC client sends.

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
INITIAL_WINDOW_SIZE = 4
MAX_CONCURRENT_STREAMS = 3


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """A frame of RFC 9113 section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + stream.to_bytes(4) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header field of RFC 7541 section 6.2.2."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call_headers(method: str) -> bytes:
    pseudo_headers = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", method.encode()))
    headers = ((b":authority", b"a"), (b"te", b"trailers"), (b"content-type", b"application/grpc"))
    return b"".join(literal(*field) for field in (*pseudo_headers, *headers))


class Http2:
    """A connection that sends frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, *settings: tuple[int, int]) -> "Http2":
        self = cls(*await asyncio.open_connection("127.0.0.1", port))
        payload = b"".join(struct.pack(">HI", *setting) for setting in settings)
        self.send(PREFACE, frame(SETTINGS, payload))
        return self

    def send(self, *frames: bytes) -> None:
        self._writer.write(b"".join(frames))

    def call(self, method: str, message: bytes | None, stream: int = 1) -> None:
        """Begin a call; without a message it sends no request."""
        self.send(frame(HEADERS, call_headers(method), flags=4, stream=stream))
        if message is not None:
            data = b"\0" + struct.pack(">I", len(message)) + message
            self.send(frame(DATA, data, flags=1, stream=stream))

    async def frame(self) -> tuple[int, int, bytes]:
        """The next frame: its kind, its flags and its payload."""
        head = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(head[:3]))
        return head[3], head[4], payload

    async def until(self, kind: int) -> bytes:
        async with asyncio.timeout(20):
            while True:
                kind_received, _, payload = await self.frame()
                if kind_received == kind:
                    return payload

    async def wait_for_close(self) -> None:
        """Wait until the server closes the connection."""
        async with asyncio.timeout(20):
            while await self._reader.read(65_536):
                pass

    def close(self) -> None:
        self._writer.close()


async def test_health_stream_without_a_reader_does_not_block_others():
    """The servicer of grpcio-health-checking writes under a lock."""
    async with echo_server() as server:
        await until(lambda: bool(server.logged("health")))
        silent = await Http2.open(server.port, (INITIAL_WINDOW_SIZE, 0))
        for number, service in enumerate((b"", ACCEPTS_CALLS.encode())):
            field = b"\x0a" + bytes([len(service)]) + service if service else b""
            silent.call("/grpc.health.v1.Health/Watch", field, stream=2 * number + 1)
        await silent.until(HEADERS)
        await silent.until(HEADERS)
        async with connect(server.target, {}) as channel:
            await assert_served(channel)  # its channel watches the health as well
            for in_service in (False, True):
                server.in_service = in_service
                await until(lambda ready=in_service: server.logged("health")[-1]["ready"] is ready)
            await channel.channel_ready()
            await assert_served(channel)
        silent.close()


async def test_server_announces_its_limit_of_streams():
    async with echo_server() as server:
        client = await Http2.open(server.port)
        settings = dict(struct.iter_unpack(">HI", await client.until(SETTINGS)))
        client.close()
    assert settings[MAX_CONCURRENT_STREAMS] == MAX_STREAMS


async def test_calls_without_a_request_message_do_not_block_others():
    """gRPC counts such calls, although the application has not received them."""
    async with echo_server() as server:
        await until(lambda: bool(server.logged("health")))
        clients = [await Http2.open(server.port) for _ in range(13)]
        for client in clients:
            await client.until(SETTINGS)
            for number in range(MAX_STREAMS):
                client.call(ECHO, None, stream=2 * number + 1)
        async with connect(server.target, {}) as channel, asyncio.timeout(30):
            # gRPC refuses calls at random until all calls of the flood are active.
            answered = 0
            while answered < 5:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await assert_served(channel)
                    answered += 1
        for client in clients:
            client.close()


@pytest.mark.parametrize("beginning", [b"", PREFACE[:8]], ids=["nothing", "half a preface"])
async def test_connection_without_a_handshake_is_closed(beginning: bytes, monkeypatch):
    monkeypatch.setattr("chassis.rpc.server.HANDSHAKE_SECONDS", 0.5)
    async with echo_server() as server:
        client = Http2(*await asyncio.open_connection("127.0.0.1", server.port))
        client.send(beginning)
        await client.wait_for_close()
        client.close()


async def test_a_connection_without_calls_is_closed(monkeypatch):
    monkeypatch.setattr("chassis.rpc.server.IDLE_SECONDS", 0.5)
    async with echo_server() as server:
        client = await Http2.open(server.port)
        await client.wait_for_close()
        client.close()


def is_refused(client: socket.socket) -> bool:
    """Whether the server closes a connection; it sends its settings on others."""
    client.settimeout(20)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


async def test_excess_connections_are_closed_and_established_ones_served(monkeypatch):
    monkeypatch.setattr("chassis.rpc.server.MAX_CONNECTIONS", 20)
    async with echo_server() as server, connect(server.target, {}) as channel:
        await until(lambda: bool(server.logged("health")))
        await assert_served(channel)
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
        refused = await asyncio.to_thread(lambda: sum(map(is_refused, clients)))
        await assert_served(channel)
        for client in clients:
            client.close()
    assert refused >= 40


def test_known_callers_have_more_health_streams_than_others():
    assert KNOWN_WATCHES.total > OTHER_WATCHES.total
    assert OPEN.reflection
