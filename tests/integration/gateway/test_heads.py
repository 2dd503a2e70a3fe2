"""The memory of request heads is bounded, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from chassis.config.settings import Address
from chassis.observability import log
from gateway.http.heads import LIMIT_BYTES, MAX_HEAD_BYTES, SMALL_BYTES, HeadMemory
from gateway.http.server import Runner
from tests.support import raw_http
from tests.support.waiting import eventually, pace

SECONDS = 10.0
FIRST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
FIELD = b"X: " + b"x" * 4_000 + b"\r\n"
BODY = b"b" * 200_000
WITH_BODY = FIRST + b"Content-Length: %d\r\n\r\n" % len(BODY)
MAX_FIELDS = MAX_HEAD_BYTES // len(FIELD)


class Server:
    """A gateway's HTTP server that answers with the length of the body once `open` is set."""

    def __init__(self, limit: int) -> None:
        self.heads = HeadMemory(limit)
        self.open = asyncio.Event()
        self.open.set()
        self.requests = 0
        app = web.Application(client_max_size=10**6)
        app.router.add_post("/echo", self._echo)
        self.runner = Runner(app, log.configure("gateway", "error"), heads=self.heads)

    async def _echo(self, request: web.Request) -> web.Response:
        self.requests += 1
        await self.open.wait()
        return web.Response(text=str(len(await request.read())))


@asynccontextmanager
async def serving(limit: int = LIMIT_BYTES) -> AsyncIterator[Server]:
    server = Server(limit)
    await server.runner.listen(Address("127.0.0.1", 0))
    try:
        yield server
    finally:
        server.open.set()
        await server.runner.cleanup()


class Client(raw_http.Connection):
    """A connection of a client."""

    async def next_response(self) -> tuple[int, bytes]:
        """The status and body of the next response; 0 if the server closed the connection."""
        try:
            status, _, body = await self.response()
        except (ConnectionError, asyncio.IncompleteReadError):
            return 0, b""
        return status, body


async def connect(server: Server, sent: bytes = b"", address: str = "127.0.0.1") -> Client:
    connection = await raw_http.connect(server.runner.addresses[0], source=address)
    connection.send(sent)
    return Client(connection.reader, connection.writer)


async def wait_until_held(server: Server, size: int) -> None:
    await eventually(lambda: server.heads.budget.in_use == size, SECONDS)


async def test_head_over_the_size_limit_gets_431():
    async with serving() as server:
        client = await connect(server, FIRST + FIELD * 90)
        status, body = await client.next_response()

        assert status == 431
        assert b"urn:ietf:params:scim:api:messages:2.0:Error" in body
        assert server.requests == 0
        client.writer.close()
        await wait_until_held(server, 0)


async def test_large_head_below_the_limit_is_accepted_repeatedly():
    async with serving() as server:
        client = await connect(server)
        for _ in range(20):
            client.writer.write(FIRST + FIELD * (MAX_FIELDS - 1) + b"Content-Length: 0\r\n\r\n")
            assert await client.next_response() == (200, b"0")

        assert server.heads.budget.in_use == 0


@pytest.mark.parametrize("split", [0, 1, 2, 3, 4, len(WITH_BODY)])
async def test_body_is_not_counted_wherever_its_head_is_split(split: int):
    async with serving() as server:
        client = await connect(server)
        for _ in range(3):
            client.writer.write(WITH_BODY[: len(WITH_BODY) - split])
            await pace(0.02)  # the rest arrives in a read of its own
            client.writer.write(WITH_BODY[len(WITH_BODY) - split :] + BODY)
            assert await client.next_response() == (200, b"%d" % len(BODY))

        assert (server.heads.budget.in_use, server.heads.rejected) == (0, 0)


async def test_large_heads_are_bounded_and_small_ones_always_accepted():
    async with serving(limit=1024 * 1024) as server:
        greedy = [await connect(server, FIRST + FIELD * 15) for _ in range(60)]
        other = [await connect(server, FIRST + FIELD * 15, "127.0.0.2") for _ in range(60)]
        await eventually(lambda: server.heads.rejected >= 60, SECONDS)
        held = server.heads.budget.in_use
        small = await connect(server, FIRST + b"X: %s\r\n" % (b"x" * 1_000))
        small.writer.write(b"Content-Length: 0\r\n\r\n")

        assert await small.next_response() == (200, b"0")
        assert 512 * 1024 < held <= 1024 * 1024
        for client in (*greedy, *other):
            client.writer.transport.abort()
        await wait_until_held(server, 0)


async def test_one_address_uses_at_most_half_of_the_head_memory():
    async with serving(limit=256 * 1024) as server:
        greedy = [await connect(server, FIRST + FIELD * 15) for _ in range(10)]
        await eventually(lambda: server.heads.rejected >= 5, SECONDS)
        large = FIRST + FIELD * 5 + b"Content-Length: 0\r\n\r\n"

        assert (await (await connect(server, large)).next_response())[0] == 503
        assert await (await connect(server, large, "127.0.0.2")).next_response() == (200, b"0")
        assert len(greedy) == 10  # the list keeps the connections open


async def test_pipelined_heads_behind_a_waiting_request_are_counted():
    async with serving() as server:
        server.open.clear()
        large = FIRST + FIELD * 10 + b"Content-Length: 0\r\n\r\n"
        client = await connect(server, large * 8)

        assert (await client.next_response())[0] == 0
        await wait_until_held(server, 0)


async def test_small_pipelined_requests_are_accepted():
    async with serving() as server:
        client = await connect(server, (FIRST + b"Content-Length: 0\r\n\r\n") * 30)

        assert [await client.next_response() for _ in range(30)] == [(200, b"0")] * 30
        assert server.heads.budget.in_use == 0


def test_small_heads_of_all_connections_fit_in_the_limit():
    assert SMALL_BYTES * 2_000 <= LIMIT_BYTES
