"""A server without free slots over real sockets: it answers each request once, in order."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from chassis.concurrency.fair_semaphore import QUEUE_PER_SLOT, FairSemaphore
from chassis.config.settings import Address
from chassis.observability import log
from gateway.http.connections import ClientTimeouts, Connections
from gateway.http.server import Runner
from gateway.limits.admission import AdmissionControl
from gateway.limits.rate_limiter import Rate, RateLimiter
from gateway.limits.rejections import RETRY_AFTER_SECONDS, RejectedError, RejectionStats, no_slot
from tests.support import raw_http
from tests.support.waiting import eventually, pace

SLOTS = 8
CAPACITY = SLOTS // 2 * (1 + QUEUE_PER_SLOT)
"""The number of requests of one organization that may run or wait."""
SECONDS = 10.0


def get(path: str = "/Users/1", token: str = "acme", extra_headers: str = "") -> bytes:
    head = f"GET /scim{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}{extra_headers}\r\n".encode()


def post(body: bytes) -> bytes:
    length = f"Content-Length: {len(body)}\r\n"
    return get(extra_headers=length).replace(b"GET", b"POST", 1) + body


class Server:
    """A gateway's HTTP server whose application acquires a slot for each request."""

    def __init__(self, rate: Rate) -> None:
        logger = log.configure("gateway", "error")
        self.admission = AdmissionControl(
            RateLimiter(rate), FairSemaphore(SLOTS, no_slot, 60.0), RejectionStats(logger)
        )
        self.open = asyncio.Event()
        self.requests: list[str] = []
        app = web.Application()
        app.router.add_route("*", "/scim/{path:.*}", self._answer)
        self.connections = Connections(logger, timeouts=ClientTimeouts(response=1.0))
        self.runner = Runner(app, logger, self.connections)

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        if request.path == "/scim/large":
            return web.Response(body=b"x" * 2**24)
        if request.path == "/scim/early":
            return web.Response(status=404, headers={"Answered-By": "the application"})
        await request.read()
        headers = {"Answered-By": "the application"}
        try:
            async with self.admission.slot(request.headers["Authorization"].split()[1]):
                await self.open.wait()
                return web.Response(text=request.path, headers=headers)
        except RejectedError as error:
            return web.Response(status=error.status, headers={**headers, **error.headers})


@asynccontextmanager
async def serving(rate: Rate = Rate(1e6, 10**6)) -> AsyncIterator[Server]:  # noqa: B008 - frozen
    server = Server(rate)
    await server.runner.listen(Address("127.0.0.1", 0))

    try:
        yield server
    finally:
        server.open.set()
        await server.runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


class Client(raw_http.Connection):
    """A connection of a client."""

    async def send_separately(self, *parts: bytes) -> None:
        """Send the parts so that the server reads each one separately."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await pace(0.05)  # each part arrives in a read of its own

    async def statuses(self, count: int) -> list[int]:
        """The statuses of the next responses."""
        return [(await self.response()).status for _ in range(count)]


async def connect(server: Server, unread_bytes: int | None = None) -> Client:
    connection = await raw_http.connect(server.runner.addresses[0], receive_buffer=unread_bytes)
    return Client(connection.reader, connection.writer)


async def fill_slots(server: Server, token: str = "acme") -> list[Client]:
    """Send all requests that an organization may have in progress, each on its own connection."""
    clients = [await connect(server) for _ in range(CAPACITY)]
    for client in clients:
        client.writer.write(get(token=token))
    await eventually(lambda: len(server.requests) >= CAPACITY, SECONDS)
    return clients


async def test_request_without_a_slot_is_rejected_and_served_later(server: Server):
    clients = await fill_slots(server)
    rejected, other = await connect(server), await connect(server)
    await rejected.send_separately(get())
    status, headers, _ = await rejected.response()
    await rejected.send_separately(post(b"{}"), get("/Groups"))
    await other.send_separately(get(token="initech"))

    assert (status, headers["Retry-After"]) == (503, str(RETRY_AFTER_SECONDS))
    assert await rejected.statuses(2) == [503, 503]
    server.open.set()
    assert await other.statuses(1) == [200]
    assert {status for client in clients for status in await client.statuses(1)} == {200}
    await rejected.send_separately(get())
    assert await rejected.statuses(1) == [200]


async def test_requests_read_at_once_are_served_up_to_the_capacity(server: Server):
    """Few slots are free, and hundreds of requests arrive before any of them acquires one."""
    await fill_slots(server, "initech")
    clients = [await connect(server) for _ in range(5 * CAPACITY)]
    for client in clients:
        client.writer.write(get())
    await eventually(lambda: len(server.requests) == 6 * CAPACITY, SECONDS)
    server.open.set()

    counts = Counter([status for client in clients for status in await client.statuses(1)])

    # A displaced request of initech frees a queue position for another of acme.
    assert counts.keys() == {200, 503}
    assert 0 < counts[200] <= CAPACITY


async def test_pipelined_request_is_answered_in_order(server: Server):
    client = await connect(server)
    await client.send_separately(get("/Users/first", "initech"))
    await fill_slots(server)
    await client.send_separately(get())
    server.open.set()

    status, _, body = await client.response()
    assert (status, body) == (200, b"/scim/Users/first")
    assert await client.statuses(1) in ([200], [503])


@pytest.mark.parametrize(
    "parts",
    [
        [get()[:30], get()[30:]],
        [get()[:-1], get()[-1:]],
        [post(b"0123456789")[:-5], post(b"0123456789")[-5:]],
        [post(b"0123456789")[:-10], b"01234", b"56789"],
    ],
    ids=["a head", "last byte of a head", "a body", "a body after its head"],
)
async def test_request_in_parts_is_rejected_once(server: Server, parts: list[bytes]):
    await fill_slots(server)
    client = await connect(server)
    await client.send_separately(*parts)
    assert await client.statuses(1) == [503]
    await client.send_separately(get())
    assert await client.statuses(1) == [503]


async def test_unread_body_is_not_mistaken_for_another_request(server: Server):
    """The response is sent before the body arrives, and a part of the body looks like a request."""
    await fill_slots(server)
    client = await connect(server)
    head, _, body = post(b"x" * 10 + get()).partition(b"\r\n\r\n")
    await client.send_separately(head.replace(b"/Users/1", b"/early") + b"\r\n\r\n" + body[:10])
    assert await client.statuses(1) == [404]
    await client.send_separately(body[10:], get("/Users/next"))
    assert await client.statuses(1) == [503]
    assert server.requests[-1] == "/scim/Users/next"


@pytest.mark.parametrize("empty", [b"\r\n", b"\r\n\r\n", b"\n"])
async def test_empty_lines_before_a_head_are_not_mistaken_for_the_head(
    server: Server, empty: bytes
):
    """The parser skips them (RFC 9112 section 2.2); no part of the body becomes a request."""
    await fill_slots(server)
    client = await connect(server)
    length = 400
    beginning = empty + get("/early", extra_headers=f"Content-Length: {length}\r\n")
    # If the empty lines were mistaken for the end of the head, the body would be complete here.
    await client.send_separately(beginning + b"x" * (len(b"\r\n\r\n") + length - len(beginning)))
    assert await client.statuses(1) == [404]
    await client.send_separately(get())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.response()


async def test_requests_after_connect_are_answered_in_order(server: Server):
    """The content of CONNECT is read as requests, whatever its Content-Length is."""
    client = await connect(server)
    tail = get("/Users/tail", "initech")
    head = f"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: {len(tail)}\r\n\r\n".encode()
    await client.send_separately(head + tail)
    await fill_slots(server)
    await client.send_separately(get("/Users/next"))
    assert (await client.response())[0] == 404
    server.open.set()
    assert (await client.response())[2] == b"/scim/Users/tail"


async def test_header_that_looks_like_a_request_is_not_one(server: Server):
    await fill_slots(server)
    client = await connect(server)
    await client.send_separately(get("/Me") + b"GET /scim/second HTTP/1.1\r\nX-Value: ", get())

    assert await client.statuses(2) == [503, 503]
    assert server.requests[-2:] == ["/scim/Me", "/scim/second"]


async def test_unread_rejections_do_not_accumulate(server: Server):
    await fill_slots(server)
    before = set(server.connections._open)
    client = await connect(server, unread_bytes=4_096)
    client.writer.transport.pause_reading()
    await eventually(lambda: server.connections._open - before, SECONDS)
    (watched,) = server.connections._open - before
    largest = 0
    async with asyncio.timeout(SECONDS):
        while watched in server.connections._open:
            if client.writer.transport.get_write_buffer_size() < 100_000:
                client.writer.write(get())
            largest = max(largest, watched.transport.get_write_buffer_size())
            await asyncio.sleep(0)

    assert 0 < largest < 256 * 1024
    assert server.connections.aborted == 1
