"""Early rejection over real sockets: before the HTTP parser, and in the order of requests."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from cloudacademy.keys.v1 import keys_pb2

from chassis.clock import system_clock
from chassis.concurrency.fair_semaphore import QUEUE_PER_SLOT, FairSemaphore
from chassis.config.settings import Address
from chassis.observability import log
from gateway.api.early_rejection import EarlyRejector
from gateway.auth import key_cache
from gateway.auth.authenticator import Authenticator, Caller
from gateway.auth.failed_auth import FailedAuthLimiter
from gateway.auth.key_cache import KeyCache
from gateway.http import server as http_server
from gateway.http.connections import ClientTimeouts, Connections
from gateway.http.server import Runner
from gateway.limits.admission import AdmissionControl
from gateway.limits.rate_limiter import Rate, RateLimiter
from gateway.limits.rejections import RETRY_AFTER_SECONDS, RejectedError, RejectionStats, no_slot
from tests.support import raw_http
from tests.support.waiting import eventually, pace, quiescent

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
        self.cache: KeyCache[Caller] = KeyCache()
        self.cache.apply(keys_pb2.WatchKeysResponse())
        for name in ("acme", "initech"):
            digest = hashlib.sha256(name.encode()).digest()
            self.cache.put(digest, Caller(name, "key"), name, None, self.cache.generation())
        keys = Authenticator(None, self.cache, FailedAuthLimiter(1), {}, system_clock)
        app = web.Application()
        app.router.add_route("*", "/scim/{path:.*}", self._answer)
        self.connections = Connections(logger, timeouts=ClientTimeouts(response=1.0))
        early_rejector = EarlyRejector("/scim", keys, self.admission)
        self.runner = Runner(app, logger, self.connections, early_rejector)

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
            return web.Response(status=error.status, headers=headers)


@asynccontextmanager
async def serving(rate: Rate = Rate(1e6, 10**6)) -> AsyncIterator[Server]:  # noqa: B008 - frozen
    server = Server(rate)
    await server.runner.listen(Address("127.0.0.1", 0))

    try:
        yield server
    finally:
        server.open.set()
        await server.runner.cleanup()


@pytest.fixture(autouse=True)
def _keys_stay_valid(monkeypatch: pytest.MonkeyPatch):
    """Keep keys valid in the cache: no keysvc sends heartbeats here."""
    monkeypatch.setattr(key_cache, "MAX_SILENCE_SECONDS", 600.0)


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

    async def outcomes(self, count: int) -> list[tuple[int, bool]]:
        """The statuses of the next responses, and whether the application sent each of them."""
        responses = [await self.response() for _ in range(count)]
        return [(status, "Answered-By" in headers) for status, headers, _ in responses]


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


REJECTED_EARLY = (503, False)
SERVED = (200, True)


async def test_request_without_slot_is_rejected_early_and_served_later(
    server: Server,
):
    clients = await fill_slots(server)
    rejected, other = await connect(server), await connect(server)
    await rejected.send_separately(get())
    status, headers, body = await rejected.response()
    await rejected.send_separately(post(b"{}"), get("/Groups"))
    await other.send_separately(get(token="initech"))

    assert (status, headers["Retry-After"]) == (503, str(RETRY_AFTER_SECONDS))
    assert headers["Content-Type"] == "application/scim+json"
    assert b"too many requests" in body
    assert await rejected.outcomes(2) == [REJECTED_EARLY, REJECTED_EARLY]
    server.open.set()
    assert await other.outcomes(1) == [SERVED]
    assert {outcome for client in clients for outcome in await client.outcomes(1)} == {SERVED}
    await rejected.send_separately(get())
    assert await rejected.outcomes(1) == [SERVED]


async def test_requests_read_at_once_reach_application_up_to_capacity(
    server: Server,
):
    """Few slots are free, and hundreds of requests arrive before any of them acquires one."""
    await fill_slots(server, "initech")
    before = len(server.requests)
    clients = [await connect(server) for _ in range(5 * CAPACITY)]
    for client in clients:
        client.writer.write(get())
    await quiescent(lambda: (len(server.requests), dict(server.admission._pending)))
    server.open.set()

    counts = Counter([outcome for client in clients for outcome in await client.outcomes(1)])

    # A displaced request of initech frees a slot for another of acme.
    assert set(counts) == {SERVED, REJECTED_EARLY}
    assert len(server.requests) - before == counts[SERVED] <= CAPACITY
    assert server.admission._pending == {}


async def test_early_rejection_over_the_rate_has_rate_limit_headers():
    async with serving(Rate(per_second=0.1, burst=3)) as server:
        server.open.set()
        client = await connect(server)
        for _ in range(3):
            await client.send_separately(get())
        assert await client.outcomes(3) == [SERVED] * 3
        await client.send_separately(get())
        assert await client.outcomes(1) == [(429, True)]  # the first rejection by the application
        await client.send_separately(get())
        status, headers, _ = await client.response()

    assert (status, headers["RateLimit"]) == (429, '"organization";r=0;t=1')
    assert "Answered-By" not in headers
    assert 8 <= int(headers["Retry-After"]) <= 10


async def test_pipelined_request_is_answered_in_order(server: Server):
    """While an earlier request runs, only the application rejects the next: it keeps the order."""
    client = await connect(server)
    await client.send_separately(get("/Users/first", "initech"))
    await fill_slots(server)
    await client.send_separately(get())
    await quiescent(lambda: (len(server.requests), dict(server.admission._pending)))
    server.open.set()

    status, _, body = await client.response()
    assert (status, body) == (200, b"/scim/Users/first")
    assert (await client.outcomes(1))[0][1]


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
async def test_request_in_parts_goes_to_parser_and_next_is_rejected_early(
    server: Server, parts: list[bytes]
):
    await fill_slots(server)
    client = await connect(server)
    await client.send_separately(*parts)
    assert await client.outcomes(1) == [(503, True)]
    await client.send_separately(get())
    assert await client.outcomes(1) == [REJECTED_EARLY]


async def test_unread_body_is_not_mistaken_for_another_request(server: Server):
    """The response is sent before the body arrives, and a part of the body looks like a request."""
    await fill_slots(server)
    client = await connect(server)
    head, _, body = post(b"x" * 10 + get()).partition(b"\r\n\r\n")
    await client.send_separately(head.replace(b"/Users/1", b"/early") + b"\r\n\r\n" + body[:10])
    assert await client.outcomes(1) == [(404, True)]
    await client.send_separately(body[10:], get())
    assert await client.outcomes(1) == [REJECTED_EARLY]
    assert server.admission._pending == {}


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
    assert await client.outcomes(1) == [(404, True)]
    await client.send_separately(get())
    assert server.admission._pending == {}
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


async def test_early_rejection_resumes_after_a_slow_reader(server: Server):
    clients = [await connect(server, unread_bytes=4_096)]
    clients[0].writer.transport.pause_reading()
    await clients[0].send_separately(get("/large", "initech"))
    await pace(0.1)
    clients[0].writer.transport.resume_reading()
    assert (await clients[0].response())[0] == 200
    await fill_slots(server)
    await clients[0].send_separately(get())
    assert await clients[0].outcomes(1) == [REJECTED_EARLY]


async def test_bytes_of_an_earlier_request_are_not_mistaken_for_another(server: Server):
    """The bytes that look like a request are the value of a header, as the parser reads them."""
    await fill_slots(server)
    client = await connect(server)
    await client.send_separately(get("/Me") + b"GET /scim/second HTTP/1.1\r\nX-Value: ", get())
    first = await client.response()
    second = await client.response()

    assert [headers.get("Answered-By") for _, headers, _ in (first, second)] == [
        "the application"
    ] * 2
    assert server.requests[-1] == "/scim/second"
    await client.send_separately(get())
    assert await client.outcomes(1) == [(503, True)]  # request boundaries are unknown by now


async def test_unread_early_rejections_do_not_accumulate(server: Server):
    await fill_slots(server)
    before = set(server.connections._open)
    client = await connect(server, unread_bytes=4_096)
    client.writer.transport.pause_reading()
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


async def test_connection_with_rejected_requests_is_not_idle(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(http_server, "KEEPALIVE_SECONDS", 1.5)
    async with serving() as server:
        await fill_slots(server)
        client = await connect(server)
        for _ in range(8):
            await client.send_separately(get())
            await pace(0.2)

        assert await client.outcomes(8) == [REJECTED_EARLY] * 8


async def test_pending_request_is_not_counted_after_disconnect(server: Server):
    await fill_slots(server, "initech")
    before = set(server.connections._open)
    client = await connect(server)
    await eventually(lambda: server.connections._open - before, SECONDS)
    (watched,) = server.connections._open - before
    protocol = watched.transport.get_protocol()
    protocol.data_received(get())
    assert server.admission._pending == {"acme": 1}
    protocol.connection_lost(None)
    assert server.admission._pending == {}
    client.writer.close()
