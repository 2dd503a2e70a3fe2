"""The doorman over real sockets: it answers in the parser's place, and in nobody's turn."""

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

PLACES = 8
ROOM = PLACES // 2 * (1 + QUEUE_PER_SLOT)
"""How many of one organization's are in or wait."""
SECONDS = 10.0


def get(path: str = "/Users/1", token: str = "acme", more: str = "") -> bytes:
    head = f"GET /scim{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}{more}\r\n".encode()


def post(body: bytes) -> bytes:
    length = f"Content-Length: {len(body)}\r\n"
    return get(more=length).replace(b"GET", b"POST", 1) + body


class Server:
    """A gateway's HTTP server before an application that takes a place for each request."""

    def __init__(self, rate: Rate) -> None:
        logger = log.configure("gateway", "error")
        self.gate = AdmissionControl(
            RateLimiter(rate), FairSemaphore(PLACES, no_slot, 60.0), RejectionStats(logger)
        )
        self.open = asyncio.Event()
        self.asked: list[str] = []
        self.cache: KeyCache[Caller] = KeyCache()
        self.cache.apply(keys_pb2.WatchKeysResponse())
        for name in ("acme", "initech"):
            digest = hashlib.sha256(name.encode()).digest()
            self.cache.put(digest, Caller(name, "key"), name, None, self.cache.generation())
        keys = Authenticator(None, self.cache, FailedAuthLimiter(1), {}, system_clock)
        app = web.Application()
        app.router.add_route("*", "/scim/{path:.*}", self._answer)
        self.connections = Connections(logger, timeouts=ClientTimeouts(response=1.0))
        doorman = EarlyRejector("/scim", keys, self.gate)
        self.runner = Runner(app, logger, self.connections, doorman)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path == "/scim/large":
            return web.Response(body=b"x" * 2**24)
        if request.path == "/scim/early":
            return web.Response(status=404, headers={"Answered-By": "the application"})
        await request.read()
        headers = {"Answered-By": "the application"}
        try:
            async with self.gate.slot(request.headers["Authorization"].split()[1]):
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
def _keys_last(monkeypatch: pytest.MonkeyPatch):
    """There is no keysvc here that tells again and again that nothing has changed."""
    monkeypatch.setattr(key_cache, "MAX_SILENCE_SECONDS", 600.0)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as running:
        yield running


class Client(raw_http.Connection):
    """One connection."""

    async def send_apart(self, *parts: bytes) -> None:
        """Send the parts apart from each other."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await pace(0.05)  # each part arrives in a read of its own

    async def answers(self, number: int) -> list[tuple[int, bool]]:
        """The next ones: the status, and whether the application gave it."""
        got = [await self.response() for _ in range(number)]
        return [(status, "Answered-By" in headers) for status, headers, _ in got]


async def connect(server: Server, unread_bytes: int | None = None) -> Client:
    connection = await raw_http.connect(server.runner.addresses[0], receive_buffer=unread_bytes)
    return Client(connection.reader, connection.writer)


async def filled(server: Server, token: str = "acme") -> list[Client]:
    """As many requests as an organization may have under way, each on a connection."""
    clients = [await connect(server) for _ in range(ROOM)]
    for client in clients:
        client.writer.write(get(token=token))
    await eventually(lambda: len(server.asked) >= ROOM, SECONDS)
    return clients


FROM_DOORMAN = (503, False)
SERVED = (200, True)


async def test_who_finds_no_place_is_refused_before_the_application_and_served_later(
    server: Server,
):
    clients = await filled(server)
    late, other = await connect(server), await connect(server)
    await late.send_apart(get())
    status, headers, body = await late.response()
    await late.send_apart(post(b"{}"), get("/Groups"))
    await other.send_apart(get(token="initech"))

    assert (status, headers["Retry-After"]) == (503, str(RETRY_AFTER_SECONDS))
    assert headers["Content-Type"] == "application/scim+json"
    assert b"too many requests" in body
    assert await late.answers(2) == [FROM_DOORMAN, FROM_DOORMAN]
    server.open.set()
    assert await other.answers(1) == [SERVED]
    assert {each for client in clients for each in await client.answers(1)} == {SERVED}
    await late.send_apart(get())
    assert await late.answers(1) == [SERVED]


async def test_of_those_who_are_read_in_one_moment_no_more_reach_the_application_than_fit(
    server: Server,
):
    """A place or two is free, hundreds ask, and none of them has taken it yet."""
    await filled(server, "initech")
    before = len(server.asked)
    clients = [await connect(server) for _ in range(5 * ROOM)]
    for client in clients:
        client.writer.write(get())
    await quiescent(lambda: (len(server.asked), dict(server.gate._pending)))
    server.open.set()

    got = Counter([each for client in clients for each in await client.answers(1)])

    # A displaced one of initech's makes room for one of acme's more.
    assert set(got) == {SERVED, FROM_DOORMAN}
    assert len(server.asked) - before == got[SERVED] <= ROOM
    assert server.gate._pending == {}


async def test_over_the_rate_the_doorman_says_what_is_left():
    async with serving(Rate(per_second=0.1, burst=3)) as server:
        server.open.set()
        client = await connect(server)
        for _ in range(3):
            await client.send_apart(get())
        assert await client.answers(3) == [SERVED] * 3
        await client.send_apart(get())
        assert await client.answers(1) == [(429, True)]  # now it is pressed
        await client.send_apart(get())
        status, headers, _ = await client.response()

    assert (status, headers["RateLimit"]) == (429, '"organization";r=0;t=1')
    assert "Answered-By" not in headers
    assert 8 <= int(headers["Retry-After"]) <= 10


async def test_a_pipelined_request_is_answered_in_its_turn(server: Server):
    """The one before it has a place that was free: only then may a refusal follow."""
    client = await connect(server)
    await client.send_apart(get("/Users/first", "initech"))
    await filled(server)
    await client.send_apart(get())
    await quiescent(lambda: (len(server.asked), dict(server.gate._pending)))
    server.open.set()

    status, _, body = await client.response()
    assert (status, body) == (200, b"/scim/Users/first")
    assert (await client.answers(1))[0][1]


@pytest.mark.parametrize(
    "parts",
    [
        [get()[:30], get()[30:]],
        [get()[:-1], get()[-1:]],
        [post(b"0123456789")[:-5], post(b"0123456789")[-5:]],
        [post(b"0123456789")[:-10], b"01234", b"56789"],
    ],
    ids=["a head", "its last byte", "a body", "a body after its head"],
)
async def test_what_comes_in_parts_is_left_to_the_parser_and_the_next_is_looked_at_again(
    server: Server, parts: list[bytes]
):
    await filled(server)
    client = await connect(server)
    await client.send_apart(*parts)
    assert await client.answers(1) == [(503, True)]
    await client.send_apart(get())
    assert await client.answers(1) == [FROM_DOORMAN]


async def test_a_body_that_was_not_waited_for_belongs_to_its_request(server: Server):
    """The answer is there before the body is; what looks like a request is a part of it."""
    await filled(server)
    client = await connect(server)
    head, _, body = post(b"x" * 10 + get()).partition(b"\r\n\r\n")
    await client.send_apart(head.replace(b"/Users/1", b"/early") + b"\r\n\r\n" + body[:10])
    assert await client.answers(1) == [(404, True)]
    await client.send_apart(body[10:], get())
    assert await client.answers(1) == [FROM_DOORMAN]
    assert server.gate._pending == {}


@pytest.mark.parametrize("empty", [b"\r\n", b"\r\n\r\n", b"\n"])
async def test_empty_lines_before_a_request_are_not_its_head(server: Server, empty: bytes):
    """The parser passes over them; nobody may take a part of its body for another request."""
    await filled(server)
    client = await connect(server)
    length = 400
    begin = empty + get("/early", more=f"Content-Length: {length}\r\n")
    # Were the empty lines the head, all that they announce were here.
    await client.send_apart(begin + b"x" * (len(b"\r\n\r\n") + length - len(begin)))
    assert await client.answers(1) == [(404, True)]
    await client.send_apart(get())
    assert server.gate._pending == {}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.response()


async def test_what_follows_a_tunnel_is_answered_in_its_turn(server: Server):
    """Its content is read as requests, whatever its length says."""
    client = await connect(server)
    tail = get("/Users/tail", "initech")
    head = f"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: {len(tail)}\r\n\r\n".encode()
    await client.send_apart(head + tail)
    await filled(server)
    await client.send_apart(get("/Users/next"))
    assert (await client.response())[0] == 404
    server.open.set()
    assert (await client.response())[2] == b"/scim/Users/tail"


async def test_a_client_that_took_its_time_is_looked_at_again(server: Server):
    clients = [await connect(server, unread_bytes=4_096)]
    clients[0].writer.transport.pause_reading()
    await clients[0].send_apart(get("/large", "initech"))
    await pace(0.1)
    clients[0].writer.transport.resume_reading()
    assert (await clients[0].response())[0] == 200
    await filled(server)
    await clients[0].send_apart(get())
    assert await clients[0].answers(1) == [FROM_DOORMAN]


async def test_bytes_that_belong_to_a_request_before_are_not_taken_for_another(server: Server):
    """What looks like a request is the value of a header here, as the parser sees it."""
    await filled(server)
    client = await connect(server)
    await client.send_apart(get("/Me") + b"GET /scim/second HTTP/1.1\r\nX-Value: ", get())
    first = await client.response()
    second = await client.response()

    assert [each[1].get("Answered-By") for each in (first, second)] == ["the application"] * 2
    assert server.asked[-1] == "/scim/second"
    await client.send_apart(get())
    assert await client.answers(1) == [(503, True)]  # nobody knows any more what belongs to what


async def test_refusals_that_nobody_reads_do_not_pile_up(server: Server):
    await filled(server)
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


async def test_a_connection_whose_requests_are_refused_is_not_idle(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(http_server, "KEEPALIVE_SECONDS", 1.5)
    async with serving() as server:
        await filled(server)
        client = await connect(server)
        for _ in range(8):
            await client.send_apart(get())
            await pace(0.2)

        assert await client.answers(8) == [FROM_DOORMAN] * 8


async def test_who_goes_away_before_the_application_has_heard_of_it_counts_no_more(server: Server):
    await filled(server, "initech")
    before = set(server.connections._open)
    client = await connect(server)
    await eventually(lambda: server.connections._open - before, SECONDS)
    (watched,) = server.connections._open - before
    protocol = watched.transport.get_protocol()
    protocol.data_received(get())
    assert server.gate._pending == {"acme": 1}
    protocol.connection_lost(None)
    assert server.gate._pending == {}
    client.writer.close()
