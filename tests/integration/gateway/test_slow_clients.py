"""The gateway aborts the connections of clients that keep it waiting, over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from chassis.config.settings import Address
from chassis.observability import log
from gateway.http import server as http_server
from gateway.http.connections import ClientTimeouts, Connections, Wait
from gateway.http.server import Runner
from tests.support.waiting import eventually, pace, quiescent

MEBIBYTE = 1024 * 1024
PAGE = b"x" * 3 * MEBIBYTE
SHORT = ClientTimeouts(head=0.3, body=0.3, response=0.3, closing=0.3)
LONG = ClientTimeouts(head=60, body=60, response=60, closing=60)
SECONDS = 10.0
POST_1000_BYTES = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
POST_10_BYTES = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
PARTIAL_HEAD = b"GET /quick HTTP/1.1\r\nHost: a\r\n"
SLOW_GET = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
GET = b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n"


class Server:
    """A gateway's HTTP server with a few routes; it counts the connections that it aborted."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.pages = 0
        self.writers: list[asyncio.StreamWriter] = []  # a reference keeps each connection open
        app = web.Application()
        app.router.add_post("/echo", self._echo)
        app.router.add_get("/quick", self._quick)
        app.router.add_get("/slow", self._slow)
        app.router.add_get("/page", self._page)
        self.runner = Runner(app, log.configure("gateway", "warning"), connections)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.runner.addresses[0]
        return host, port

    async def _echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def _quick(self, _: web.Request) -> web.Response:
        return web.Response(text="quick")

    async def _slow(self, _: web.Request) -> web.Response:
        await pace(1.5)  # longer than any limit on a client
        return web.Response(text="slow")

    async def _page(self, _: web.Request) -> web.Response:
        self.pages += 1
        return web.Response(body=PAGE)


@asynccontextmanager
async def serving(timeouts: ClientTimeouts = SHORT, **limits: int) -> AsyncIterator[Server]:
    logger = log.configure("gateway", "warning")
    server = Server(Connections(logger, timeouts=timeouts, **limits))
    await server.runner.listen(Address("127.0.0.1", 0))
    try:
        yield server
    finally:
        for connection in list(server.connections._open):
            connection.transport.abort()
        await server.runner.cleanup()


async def connect(
    server: Server, address: str = "127.0.0.1"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*server.address, local_addr=(address, 0))


async def send_beginning(server: Server, address: str, sent: bytes) -> asyncio.StreamReader:
    """Send the beginning of a request from an address, until the server has read it."""
    reader, writer = await connect(server, address)
    writer.write(sent)
    own_address = writer.get_extra_info("sockname")

    def is_read() -> bool:
        return any(
            connection.transport.get_extra_info("peername") == own_address
            and not connection.idle_since
            for connection in server.connections._open
        )

    await wait_until(is_read)
    server.writers.append(writer)
    return reader


async def response_head(server: Server, address: str = "127.0.0.1") -> bytes:
    """The head of the response to a complete request from an address."""
    reader, writer = await connect(server, address)
    with suppress(ConnectionError):
        writer.write(GET)
    try:
        async with asyncio.timeout(SECONDS):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """The bytes that arrive until the server closes the connection; fail if it stays open."""
    received = b""
    # Read in pieces: a reset must not discard the bytes that were read before.
    with suppress(ConnectionError):
        async with asyncio.timeout(SECONDS):
            while piece := await reader.read(MEBIBYTE):
                received += piece
    return received


def connect_without_reading(server: Server) -> socket.socket:
    """A connection with a small receive buffer that the client never reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(server.address)
    return client


async def wait_until(condition: Callable[[], bool]) -> None:
    await eventually(condition, SECONDS)


async def send_slowly(writer: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(ConnectionError):
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await pace(0.1)  # a slow client


@pytest.mark.parametrize(
    ("begin", "slowly"),
    [
        (b"", GET),
        (b"GET /quick HTTP/1.1\r\nHost: a\r\n", b"X-Slow: slow\r\n" * 9),
        (POST_1000_BYTES, b"slow" * 9),
        (GET, GET),
    ],
    ids=["a first line", "a header", "a body", "another request"],
)
async def test_client_that_sends_byte_by_byte_is_aborted(begin: bytes, slowly: bytes):
    async with serving() as server:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        reader, writer = await connect(server)
        writer.write(begin)
        sending = asyncio.create_task(send_slowly(writer, slowly))

        received = await read_to_end(reader)

        sending.cancel()
        assert received.count(b" 200 ") == (begin == GET)
        assert server.connections.aborted == 1


async def test_client_that_stops_within_a_request_is_aborted():
    async with serving() as server:
        for begin in (b"GET /qui", POST_10_BYTES, POST_10_BYTES + b"12345"):
            reader, writer = await connect(server)
            writer.write(begin)
            assert await read_to_end(reader) == b""

        assert server.connections.aborted == 3


async def test_client_that_does_not_read_a_page_is_aborted():
    async with serving() as server:
        with connect_without_reading(server) as client:
            client.sendall(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n")
            await wait_until(lambda: server.connections.aborted == 1)

        assert server.pages == 1
        assert not server.connections._open


async def test_pipelined_pages_without_reading_are_created_one_at_a_time():
    """Otherwise one connection could fill the memory."""
    async with serving(LONG) as server:
        with connect_without_reading(server) as client:
            client.sendall(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n" * 30)
            await wait_until(lambda: server.pages > 0)
            await quiescent(lambda: server.pages)
            (connection,) = server.connections._open
            unsent = connection.transport.get_write_buffer_size()

        # The kernel's buffers may hold one or two pages, depending on its settings.
        assert server.pages <= 3
        assert unsent <= 2 * len(PAGE)


async def test_unsent_bytes_of_all_connections_are_bounded():
    async with serving(LONG, max_unsent_bytes=MEBIBYTE) as server:
        clients = [connect_without_reading(server) for _ in range(12)]
        for client in clients:
            client.sendall(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n" * 4)
        await wait_until(lambda: server.connections.aborted > 0)
        await quiescent(lambda: (server.pages, server.connections.aborted))
        connections = server.connections._open
        unsent = sum(connection.transport.get_write_buffer_size() for connection in connections)

        assert server.pages >= 12
        assert unsent <= MEBIBYTE
        for client in clients:
            client.close()


async def test_waiting_and_idle_clients_are_not_aborted():
    async with serving() as server:
        reader, writer = await connect(server)
        for path, body in (("slow", b"slow"), ("quick", b"quick")):
            writer.write(f"GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
            assert await reader.readexactly(len(body)) == body
            await pace(1.0)  # an idle connection, for longer than a body may take

        assert server.connections.aborted == 0
        assert not reader.at_eof()
        writer.close()


async def test_client_that_pipelines_a_request_is_not_aborted():
    async with serving() as server:
        reader, writer = await connect(server)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await pace(0.1)  # while the slow response is in progress
        writer.write(GET)

        for body in (b"slow", b"quick"):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
            assert await reader.readexactly(len(body)) == body
        assert server.connections.aborted == 0
        writer.close()


async def test_body_in_time_is_read_and_the_connection_stays_open():
    async with serving() as server:
        reader, writer = await connect(server)
        for _ in range(3):
            writer.write(POST_10_BYTES + b"12345")
            await pace(0.1)  # a body in two parts
            writer.write(b"67890")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
            assert b" 200 " in head
            assert await reader.readexactly(10) == b"1234567890"
            await pace(0.6)  # an idle connection, for longer than a body may take

        assert server.connections.aborted == 0
        writer.close()


async def test_connection_over_the_limit_closes_the_longest_idle_one():
    async with serving(LONG, limit=3) as server:
        idle = []
        for number in range(3):
            idle.append(await connect(server))
            await wait_until(lambda number=number: len(server.connections._open) == number + 1)
        new, writer = await connect(server)
        writer.write(GET)

        assert b" 200 " in await asyncio.wait_for(new.readuntil(b"\r\n\r\n"), SECONDS)
        assert await read_to_end(idle[0][0]) == b""
        assert not idle[1][0].at_eof()
        assert len(server.connections._open) == 3


async def test_connection_over_the_limit_gets_503_when_all_are_busy():
    async with serving(LONG, limit=2) as server:
        busy = [await connect(server) for _ in range(2)]
        for _, writer in busy:
            writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        opened = server.connections._open
        await wait_until(lambda: [connection.wait for connection in opened] == [Wait.NOTHING] * 2)
        reader, _ = await connect(server)

        refused = await read_to_end(reader)

        assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRetry-After: 2\r\n" in refused
        assert server.connections.rejected == 1
        for reader, _ in busy:
            assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)


async def test_partial_heads_from_many_addresses_block_no_other_client():
    async with serving(LONG, limit=60) as server:
        for number in range(120):
            await send_beginning(server, f"127.0.1.{number}", PARTIAL_HEAD)
        for _ in range(5):
            assert b" 200 " in await response_head(server)

        assert server.connections.rejected == 0
        assert server.connections.displaced >= 60


async def test_address_with_most_partial_heads_loses_a_connection_first():
    async with serving(LONG, limit=4) as server:
        modest = await send_beginning(server, "127.0.0.2", PARTIAL_HEAD)
        greedy = [await send_beginning(server, "127.0.0.3", PARTIAL_HEAD) for _ in range(3)]
        assert b" 200 " in await response_head(server)

        assert await read_to_end(greedy[0]) == b""
        assert not any(reader.at_eof() for reader in (modest, *greedy[1:]))


@pytest.mark.parametrize("beginning", [POST_1000_BYTES, b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_slow_transfer_is_closed_if_no_connection_is_idle(beginning: bytes):
    async with serving(LONG, limit=3) as server:
        slow = [connect_without_reading(server) for _ in range(3)]
        for client in slow:
            client.sendall(beginning)
        opened = server.connections._open
        await wait_until(lambda: [connection.wait for connection in opened] == [Wait.TRANSFER] * 3)
        assert b" 200 " in await response_head(server)

        assert (server.connections.rejected, server.connections.displaced) == (0, 1)
        for client in slow:
            client.close()


async def test_slow_bodies_of_one_address_are_closed_before_idle_clients():
    async with serving(LONG, limit=10) as server:
        idle, _writer = await connect(server, "127.0.0.2")
        slow = [await send_beginning(server, "127.0.0.3", POST_1000_BYTES) for _ in range(9)]
        assert b" 200 " in await response_head(server)

        assert await read_to_end(slow[0]) == b""
        assert not idle.at_eof()


async def test_address_over_its_connection_limit_gets_503():
    async with serving(LONG, limit=8, per_source=2) as server:
        for _ in range(2):
            await send_beginning(server, "127.0.0.1", SLOW_GET)
        refused = await response_head(server)
        other = await response_head(server, "127.0.0.2")

        assert refused.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRetry-After: 2\r\n" in refused
        assert b" 200 " in other
        assert (server.connections.rejected_by_source, server.connections.rejected) == (1, 0)


async def test_address_at_its_connection_limit_loses_a_waiting_connection():
    async with serving(LONG, limit=8, per_source=2) as server:
        other = await send_beginning(server, "127.0.0.2", PARTIAL_HEAD)
        first = await send_beginning(server, "127.0.0.1", PARTIAL_HEAD)
        await send_beginning(server, "127.0.0.1", PARTIAL_HEAD)
        assert b" 200 " in await response_head(server)

        assert await read_to_end(first) == b""
        assert not other.at_eof()


async def test_connection_without_a_request_is_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_server, "KEEPALIVE_SECONDS", 0.3)
    async with serving(LONG) as server:
        reader, _ = await connect(server)

        assert await read_to_end(reader) == b""


async def test_closed_connections_leave_no_state():
    async with serving(LONG, limit=8, per_source=4) as server:
        for sent in (b"", PARTIAL_HEAD, POST_1000_BYTES, GET):
            _, writer = await connect(server)
            writer.write(sent)
            writer.close()
        await response_head(server, "127.0.0.2")
        connections = server.connections
        await wait_until(lambda: not connections._open)

        assert connections._by_source == {}
        assert [waits.oldest() for waits in connections._waits.values()] == [None, None]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /quick HTTP/1.1\r\nHost: a\r\n"
        + b"".join(b"X-%d: y\r\n" % n for n in range(200))
        + b"\r\n",
        b"GET /quick HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 9_000 + b"\r\n\r\n",
        b"GET /" + b"y" * http_server.MAX_LINE_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["many headers", "a long header", "a long line"],
)
async def test_head_that_is_too_large_gets_400(request_: bytes):
    async with serving(LONG) as server:
        reader, writer = await connect(server)
        writer.write(request_)

        received = await read_to_end(reader)

        assert received.split(b" ")[1] == b"400"


CHUNKS = {"one byte": b"1\r\na\r\n", "seven bytes": b"7\r\naaaaaaa\r\n"}


@pytest.mark.parametrize("chunk", CHUNKS.values(), ids=list(CHUNKS))
@pytest.mark.parametrize("path", ["/echo", "/quick"], ids=["read", "refused"])
async def test_body_in_tiny_chunks_is_aborted(path: str, chunk: bytes):
    async with serving(ClientTimeouts()) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + chunk * 100_000)
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass

        assert (server.connections.aborted, len(server.connections._open)) == (1, 0)


@pytest.mark.parametrize("size", [8, 100, 5_000])
async def test_body_in_small_chunks_is_read_completely(size: int):
    async with serving(ClientTimeouts()) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        number = 400_000 // size
        chunk = f"{size:x}\r\n".encode() + b"a" * size + b"\r\n"
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + chunk * number + b"0\r\n\r\n")
        received_head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(size * number)
        writer.close()

        assert received_head.startswith(b"HTTP/1.1 200 ")
        assert (body, server.connections.aborted) == (b"a" * size * number, 0)
