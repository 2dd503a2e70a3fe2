"""What clients send takes little memory, and no place, until there is somebody to work on it."""

import asyncio
import itertools
import json
import os
import re
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import pytest
import yaml

from gateway.http.body import MAX_BODY_BYTES, RECEIVED_OF_ONE
from gateway.http.connections import MAX_CONNECTIONS
from gateway.sso.pending import LIFETIME, PendingSignIn, PendingSignIns
from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.process_memory import MEBIBYTE, peak_bytes
from tests.support.scim import Client
from tests.support.single_sign_on import ACS_PATH
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually

CONNECTIONS = 700
WAIT_SECONDS = 3.0
PLACES = 4
POD = ROOT / "deploy/k8s/base/gateway/deployment.yaml"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    unlimited = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=40)
    async with aiohttp.ClientSession(connector=unlimited, timeout=timeout) as opened:
        yield opened


def pod_bytes() -> int:
    """How much a pod of the gateway may take."""
    (container,) = yaml.safe_load(POD.read_text())["spec"]["template"]["spec"]["containers"]
    found = re.fullmatch(r"(\d+)Mi", container["resources"]["limits"]["memory"])
    assert found is not None
    return int(found[1]) * MEBIBYTE


def large_group() -> bytes:
    """A group whose members take as much memory as a body can: each is an object with an id."""
    document = {"displayName": "Everybody", "members": [{"value": str(uuid4())}]}
    each = len(json.dumps(document["members"], separators=(",", ":"))) - 1
    number = (MAX_BODY_BYTES - 100) // each
    document["members"] = [{"value": str(uuid4())} for _ in range(number)]
    return json.dumps(document, separators=(",", ":")).encode()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def send(session: aiohttp.ClientSession, gateway: Gateway, token: str, body: bytes) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    async with session.post(f"{gateway.url}/Groups", data=body, headers=headers) as reply:
        if reply.status == 503:
            assert int(reply.headers["Retry-After"]) > 0
        return reply.status


@pytest.fixture
async def tokens(operate: Operator) -> list[str]:
    """Keys of several organizations."""
    return [(await operate.key(await operate.organization())).token for _ in range(4)]


async def test_large_bodies_fit_into_memory_while_usersvc_hangs(
    tenant: Stack, tokens: list[str], session: aiohttp.ClientSession
):
    with _open_gateway(tenant) as gateway, frozen(tenant.pid("usersvc")):
        statuses = await asyncio.gather(*_flood(session, gateway, tokens))
        peak = peak_bytes(gateway.process.pid)

    assert Counter(statuses).keys() == {503}
    assert peak < pod_bytes() * 3 / 4


async def test_unread_bodies_fit_into_memory_while_keysvc_hangs(
    tenant: Stack, tokens: list[str], session: aiohttp.ClientSession
):
    with _open_gateway(tenant) as gateway, frozen(tenant.pid("keysvc")):
        before = peak_bytes(gateway.process.pid)
        requests = [asyncio.create_task(each) for each in _flood(session, gateway, tokens)]
        await asyncio.wait(requests, timeout=WAIT_SECONDS)
        peak = peak_bytes(gateway.process.pid)
        waiting = sum(not request.done() for request in requests)
        for request in requests:
            request.cancel()
        gateway.process.kill()  # it would go on until the keys' deadline

    assert waiting == CONNECTIONS
    of_one = (peak - before) / CONNECTIONS
    assert of_one * MAX_CONNECTIONS < pod_bytes() / 2


def _open_gateway(stack: Stack) -> AbstractContextManager[Gateway]:
    """A gateway that takes whatever comes of whomever."""
    return running_gateway(
        stack, organization_rate=100_000, organization_burst=100_000, unknown_keys=100_000
    )


def _flood(
    session: aiohttp.ClientSession, gateway: Gateway, tokens: list[str]
) -> list[Coroutine[None, None, int]]:
    """As large a body as there can be on each of many connections."""
    body, turns = large_group(), itertools.cycle(tokens)
    return [send(session, gateway, next(turns), body) for _ in range(CONNECTIONS)]


async def test_slow_senders_occupy_no_slot(
    tenant: Stack, operate: Operator, session: aiohttp.ClientSession
):
    with running_gateway(tenant, max_requests=PLACES) as gateway:
        key = await operate.key(await operate.organization())
        host, port = gateway.address
        senders = [await asyncio.open_connection(host, port) for _ in range(2 * PLACES)]
        for number, (_, writer) in enumerate(senders):
            writer.write(_head(gateway, key.token, f"slow-{number}@corp.test"))
        scim = gateway.client(session, key.token)
        quick = [await scim("GET", "/Users?count=0") for _ in range(5)]
        for _, writer in senders:
            writer.write(b'"}')
        slow = [await reader.readline() for reader, _ in senders]
        for _, writer in senders:
            writer.close()
        listed = await scim("GET", "/Users?count=0")

    assert [reply.status for reply in quick] == [200] * 5
    assert slow == [b"HTTP/1.1 201 Created\r\n"] * len(senders)
    assert listed.document["totalResults"] == len(senders)


def _head(gateway: Gateway, token: str, user_name: str) -> bytes:
    """The head of a request, and all but the end of its body."""
    body = b'{"userName": "' + user_name.encode()
    lines = [
        f"POST {gateway.url.removeprefix(gateway.base_url)}/Users HTTP/1.1",
        f"Host: {gateway.address[0]}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/scim+json",
        f"Content-Length: {len(body) + 2}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_body_over_memory_limit_is_refused_and_others_are_served(
    tenant: Stack, operate: Operator, session: aiohttp.ClientSession
):
    """Half of the bytes are for others, however much one organization sends."""
    greedy, modest = [await operate.key(await operate.organization()) for _ in range(2)]
    body = large_group()
    with running_gateway(tenant) as gateway:
        flood = asyncio.gather(*(send(session, gateway, greedy.token, body) for _ in range(60)))
        scim: Client = gateway.client(session, modest.token)
        made = [await scim("POST", "/Users", {"userName": f"{n}@corp.test"}) for n in range(20)]
        flooded = Counter(await flood)

    assert [reply.status for reply in made] == [201] * 20
    assert flooded[503] > 0
    assert flooded.keys() <= {400, 503}  # more ids of nobody than are kept


SECRET = secrets.token_bytes(32)
UNFINISHED = 40
"""Forms that are begun at each of some addresses."""
FORM = "/login/link"
NOTHING = "/portal/nothing"


@pytest.fixture
def with_sso(tenant: Stack) -> Iterator[Gateway]:
    """A gateway where people can sign in in any way."""
    places = tenant.paths
    pair = {"saml_key": places.saml_key, "saml_certificate": places.saml_certificate}
    urls = f"us={tenant.url},eu={tenant.url}"  # a pair for development is for loopback only
    with running_gateway(tenant, tenant_urls=urls, cursor_secret=SECRET.hex(), **pair) as one:
        yield one
        one.process.kill()  # it would wait for those who are amid a form


class Unfinished:
    """A form on a connection of its own that never ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._status = asyncio.create_task(self._answered())

    async def status(self) -> int:
        """What it is answered before its end; 0 if we go on to wait for that."""
        await asyncio.wait([self._status], timeout=WAIT_SECONDS)
        return self._status.result() if self._status.done() else 0

    def leave(self) -> None:
        """End the connection once what was begun has arrived."""
        self._status.cancel()
        self._writer.close()

    def cut(self) -> None:
        """End the connection at once."""
        self._status.cancel()
        self._writer.transport.abort()

    async def _answered(self) -> int:
        return int((await self._reader.readline()).split()[1])


def begun_sign_in() -> str:
    """The cookie without which no response of an identity provider is read."""
    end = datetime.now(UTC) + LIFETIME
    sealed = PendingSignIns(SECRET).seal(PendingSignIn(str(uuid4()), "_1", "state", "", end))
    return f"sign-in-us={sealed}"


async def begin(gateway: Gateway, path: str, size: int) -> Unfinished:
    """Send all but the last bytes of a form of so many."""
    reader, writer = await asyncio.open_connection(*gateway.address)
    head = (
        f"POST {path} HTTP/1.1",
        "Host: a",
        "Content-Type: application/x-www-form-urlencoded",
        f"Cookie: {begun_sign_in()}",
        f"Content-Length: {size}",
    )
    writer.write("\r\n".join([*head, "", ""]).encode() + b"a=" + b"x" * (size - 4))
    begun = Unfinished(reader, writer)
    await writer.drain()
    return begun


async def begin_many(
    gateway: Gateway, sizes: dict[str, int], number: int = UNFINISHED
) -> list[int]:
    """What each of so many unfinished forms at some addresses is answered."""
    each = [begin(gateway, path, size) for path, size in sizes.items() for _ in range(number)]
    forms = await asyncio.gather(*each)
    statuses = await asyncio.gather(*(form.status() for form in forms))
    for form in forms:
        form.cut()
    return statuses


async def test_oversized_forms_are_refused_without_buffering(with_sso: Gateway):
    sizes = {NOTHING: MAX_BODY_BYTES, FORM: MAX_BODY_BYTES, ACS_PATH: MAX_BODY_BYTES}
    for path in sizes:
        (await begin(with_sso, path, 1_000)).leave()
    before = peak_bytes(with_sso.process.pid)
    statuses = await begin_many(with_sso, sizes)
    grown = peak_bytes(with_sso.process.pid) - before

    assert Counter(statuses) == {404: UNFINISHED, 413: 2 * UNFINISHED}
    assert grown < len(statuses) * MAX_BODY_BYTES / 4


async def test_unfinished_forms_share_memory_limit_of_bodies(with_sso: Gateway):
    """Nobody has signed in: all of them are one address's, which has half of it."""
    sizes = {FORM: 120 * 1024, ACS_PATH: 500 * 1024}
    statuses = await begin_many(with_sso, sizes)

    waiting, refused = statuses.count(0), statuses.count(503)
    assert waiting + refused == len(statuses)
    assert refused > UNFINISHED // 2
    assert waiting > 0


async def test_unfinished_small_forms_are_limited_per_address(with_sso: Gateway):
    statuses = await begin_many(with_sso, {FORM: 1_000}, RECEIVED_OF_ONE + 10)

    assert Counter(statuses) == {0: RECEIVED_OF_ONE, 503: 10}


@pytest.mark.parametrize("path", [FORM, ACS_PATH])
async def test_client_that_aborts_a_form_causes_no_internal_error(with_sso: Gateway, path: str):
    (await begin(with_sso, path, 1_000)).leave()
    told = await eventually(lambda: with_sso.log_lines("request"), WAIT_SECONDS)

    assert [(line["endpoint"], line["status"]) for line in told] == [(path, 400)]
    assert with_sso.log_lines("internal error") == []
