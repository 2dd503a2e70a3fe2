"""Responses that are generated while they are sent, over real sockets."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from gateway.http.responses import ScimResponse
from gateway.http.streaming import ABORT_REASON, send
from gateway.scim.errors import ScimError
from tests.support import raw_http

PART = b"x" * 100_000
SECONDS = 5.0
Parts = Callable[[], AsyncGenerator[bytes, None]]


class Server:
    """A server that sends one response to every request, and records why it was aborted, if so."""

    def __init__(self, parts: Parts, seconds: float) -> None:
        self._parts = parts
        self._seconds = seconds
        self.port = 0
        self.outcomes: asyncio.Queue[str | None] = asyncio.Queue()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        scim_response = ScimResponse(200, b"begin ", rest=self._parts())
        response = scim_response.to_http("r")
        try:
            await send(request, response, scim_response, self._seconds)
        finally:
            self.outcomes.put_nowait(response.get(ABORT_REASON))
        return response

    async def outcome(self) -> str | None:
        return await asyncio.wait_for(self.outcomes.get(), 10)

    async def get(self, method: str = "GET") -> bytes:
        url = f"http://127.0.0.1:{self.port}/"
        async with aiohttp.ClientSession() as session, session.request(method, url) as response:
            return await response.read()


@asynccontextmanager
async def serving(parts: Parts, seconds: float = SECONDS) -> AsyncIterator[Server]:
    server = Server(parts, seconds)
    app = web.Application()
    app.router.add_get("/", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


class Endless:
    """An endless sequence of parts, which counts the generated ones."""

    def __init__(self) -> None:
        self.generated = 0
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                self.generated += 1
                yield PART
        finally:
            self.closed.set()


def failing(error: Exception) -> Parts:
    async def parts() -> AsyncGenerator[bytes, None]:
        yield PART
        raise error

    return parts


async def two_parts() -> AsyncGenerator[bytes, None]:
    yield PART
    yield b" end"


async def test_streamed_response_contains_all_parts():
    async with serving(two_parts) as server:
        assert await server.get() == b"begin " + PART + b" end"
        assert await server.outcome() is None


async def test_streamed_response_to_head_generates_no_parts():
    parts = Endless()
    async with serving(parts) as server:
        assert await server.get("HEAD") == b""
        assert await server.outcome() is None
    assert parts.generated == 0


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ScimError(503, None, "away"), "backend_error"),
        (RuntimeError("a mistake"), "internal_error"),
    ],
)
async def test_error_in_a_part_closes_the_connection(error: Exception, cause: str):
    async with serving(failing(error)) as server:
        with pytest.raises(aiohttp.ClientError):
            await server.get()
        assert await server.outcome() == cause


@asynccontextmanager
async def reader(port: int) -> AsyncIterator[raw_http.Connection]:
    """A client that has sent a request; its small receive buffer holds little unread data."""
    connection = await raw_http.connect(("127.0.0.1", port), receive_buffer=4_096)
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        yield connection
    finally:
        connection.abort()


async def test_client_that_never_reads_is_aborted_at_the_timeout():
    parts = Endless()
    async with serving(parts, seconds=0.3) as server, reader(server.port):
        assert await server.outcome() == "timeout"
    assert parts.closed.is_set()


async def test_parts_are_generated_only_as_fast_as_the_client_reads():
    """When a client does not read, generation stops once the buffers in between are full."""
    parts = Endless()
    async with serving(parts, seconds=1.0) as server, reader(server.port):
        await server.outcome()
    assert parts.generated * len(PART) < 16 * 1024 * 1024


async def test_client_disconnect_closes_the_generator_of_parts():
    parts = Endless()
    async with serving(parts) as server:
        async with reader(server.port) as connection:
            await connection.reader.readexactly(1)
        assert await server.outcome() == "client_disconnected"
    assert parts.closed.is_set()


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_response_to_http_1_0_ends_with_the_connection(connection: str):
    async def parts() -> AsyncGenerator[bytes, None]:
        for _ in range(3):
            yield PART

    async with serving(parts) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET / HTTP/1.0\r\nConnection: {connection}\r\n\r\n".encode())
        async with asyncio.timeout(10):
            received = await reader.read()  # to the end of the connection
        writer.close()

    assert received.partition(b"\r\n\r\n")[2] == b"begin " + PART * 3
