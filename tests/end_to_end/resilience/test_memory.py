"""Request bodies that wait for processing: bounded memory, and no slot."""

import asyncio
import itertools
import json
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp
import pytest
import yaml

from gateway.http.body import MAX_BODY_BYTES, MAX_RECEIVING
from gateway.http.connections import MAX_CONNECTIONS
from gateway.signing.shared_secrets import SharedSecrets
from gateway.sso.pending import LIFETIME, PendingSignIn, PendingSignIns
from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.process_memory import MEBIBYTE, peak_bytes
from tests.support.processes import frozen
from tests.support.scim import Client
from tests.support.single_sign_on import ACS_PATH
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually

CONNECTIONS = 700
WAIT_SECONDS = 3.0
SLOTS = 4
POD = ROOT / "deploy/k8s/base/gateway/deployment.yaml"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    unlimited = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=40)
    async with aiohttp.ClientSession(connector=unlimited, timeout=timeout) as opened:
        yield opened


def pod_bytes() -> int:
    """The memory limit of the gateway's pod."""
    (container,) = yaml.safe_load(POD.read_text())["spec"]["template"]["spec"]["containers"]
    found = re.fullmatch(r"(\d+)Mi", container["resources"]["limits"]["memory"])
    assert found is not None
    return int(found[1]) * MEBIBYTE


def large_group() -> bytes:
    """A body that takes the most memory when parsed: each member is an object with an id."""
    document = {"displayName": "Everybody", "members": [{"value": str(uuid4())}]}
    member_bytes = len(json.dumps(document["members"], separators=(",", ":"))) - 1
    number = (MAX_BODY_BYTES - 100) // member_bytes
    document["members"] = [{"value": str(uuid4())} for _ in range(number)]
    return json.dumps(document, separators=(",", ":")).encode()


async def send(session: aiohttp.ClientSession, gateway: Gateway, token: str, body: bytes) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    async with session.post(f"{gateway.url}/Groups", data=body, headers=headers) as reply:
        if reply.status == 503:
            assert int(reply.headers["Retry-After"]) > 0
        return reply.status


@pytest.fixture
async def tokens(operate: Operator) -> list[str]:
    """Keys of several organizations."""
    return [
        (await operate.generate_key(await operate.create_organization())).token for _ in range(4)
    ]


async def test_large_bodies_fit_into_memory_while_usersvc_hangs(
    tenant: Stack, tokens: list[str], session: aiohttp.ClientSession
):
    with _gateway_without_rate_limits(tenant) as gateway, frozen(tenant.pid("usersvc")):
        statuses = await asyncio.gather(*_flood(session, gateway, tokens))
        peak = peak_bytes(gateway.process.pid)

    assert Counter(statuses).keys() == {503}
    assert peak < pod_bytes() * 3 / 4


async def test_unread_bodies_fit_into_memory_while_keysvc_hangs(
    tenant: Stack, tokens: list[str], session: aiohttp.ClientSession
):
    with _gateway_without_rate_limits(tenant) as gateway, frozen(tenant.pid("keysvc")):
        before = peak_bytes(gateway.process.pid)
        requests = [asyncio.create_task(each) for each in _flood(session, gateway, tokens)]
        await asyncio.wait(requests, timeout=WAIT_SECONDS)
        peak = peak_bytes(gateway.process.pid)
        ended = [request.result() for request in requests if request.done()]
        for request in requests:
            request.cancel()
        gateway.process.kill()  # otherwise it would run until the deadline of the key lookups

    # Requests with one key share a lookup. On a busy machine some of these reach their deadline.
    assert set(ended) <= {503}
    assert len(ended) < CONNECTIONS / 2
    bytes_each = (peak - before) / CONNECTIONS
    assert bytes_each * MAX_CONNECTIONS < pod_bytes() / 2


def _gateway_without_rate_limits(stack: Stack) -> AbstractContextManager[Gateway]:
    """A gateway whose rate limits no test reaches."""
    return running_gateway(
        stack, organization_rate=100_000, organization_burst=100_000, unknown_keys=100_000
    )


def _flood(
    session: aiohttp.ClientSession, gateway: Gateway, tokens: list[str]
) -> list[Coroutine[None, None, int]]:
    """Requests with a body of the maximum size, each over its own connection."""
    body, turns = large_group(), itertools.cycle(tokens)
    return [send(session, gateway, next(turns), body) for _ in range(CONNECTIONS)]


async def test_slow_senders_occupy_no_slot(
    tenant: Stack, operate: Operator, session: aiohttp.ClientSession
):
    with running_gateway(tenant, max_requests=SLOTS) as gateway:
        key = await operate.generate_key(await operate.create_organization())
        host, port = gateway.address
        senders = [await asyncio.open_connection(host, port) for _ in range(2 * SLOTS)]
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
    """The headers of a request, and its body without the last two bytes."""
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
    """One organization can use only half of the memory for bodies."""
    greedy, modest = [
        await operate.generate_key(await operate.create_organization()) for _ in range(2)
    ]
    body = large_group()
    with running_gateway(tenant) as gateway:
        flood = asyncio.gather(*(send(session, gateway, greedy.token, body) for _ in range(60)))
        scim: Client = gateway.client(session, modest.token)
        created = [await scim("POST", "/Users", {"userName": f"{n}@corp.test"}) for n in range(20)]
        flooded = Counter(await flood)

    assert [reply.status for reply in created] == [201] * 20
    assert flooded[503] > 0
    assert flooded.keys() <= {400, 503}  # 400: too many ids of members that do not exist


SECRET = secrets.token_bytes(32)
UNFINISHED = 40
"""Number of unfinished forms for each path."""
FORM = "/login/link"
NOT_FOUND = "/portal/nothing"


@pytest.fixture
def with_sso(tenant: Stack) -> Iterator[Gateway]:
    """A gateway with single sign-on."""
    paths = tenant.paths
    pair = {"saml_key": paths.saml_key, "saml_certificate": paths.saml_certificate}
    urls = f"us={tenant.url},eu={tenant.url}"  # a development key pair is accepted on loopback only
    with running_gateway(tenant, tenant_urls=urls, cursor_secret=SECRET.hex(), **pair) as running:
        yield running
        running.process.kill()  # otherwise it would wait for the unfinished forms


class UnfinishedForm:
    """A form whose body is never complete, on its own connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._status = asyncio.create_task(self._read_status())

    async def status(self) -> int:
        """The status of an early response; 0 if the gateway still waits for the body."""
        await asyncio.wait([self._status], timeout=WAIT_SECONDS)
        return self._status.result() if self._status.done() else 0

    def close(self) -> None:
        """Close the connection once the written bytes are sent."""
        self._status.cancel()
        self._writer.close()

    def abort(self) -> None:
        """Abort the connection."""
        self._status.cancel()
        self._writer.transport.abort()

    async def _read_status(self) -> int:
        return int((await self._reader.readline()).split()[1])


def pending_sign_in_cookie() -> str:
    """The cookie that the gateway requires before it reads a SAML response."""
    end = datetime.now(UTC) + LIFETIME
    cookie = PendingSignIns(SharedSecrets((SECRET,))).sign(
        PendingSignIn(str(uuid4()), "_1", "state", "", end)
    )
    return f"sign-in-us={cookie}"


async def send_unfinished_form(gateway: Gateway, path: str, size: int) -> UnfinishedForm:
    """Send a form of a size without its last bytes."""
    reader, writer = await asyncio.open_connection(*gateway.address)
    head = (
        f"POST {path} HTTP/1.1",
        "Host: a",
        "Content-Type: application/x-www-form-urlencoded",
        f"Cookie: {pending_sign_in_cookie()}",
        f"Content-Length: {size}",
    )
    writer.write("\r\n".join([*head, "", ""]).encode() + b"a=" + b"x" * (size - 4))
    form = UnfinishedForm(reader, writer)
    await writer.drain()
    return form


async def send_unfinished_forms(
    gateway: Gateway, sizes: dict[str, int], number: int = UNFINISHED
) -> list[int]:
    """Send unfinished forms to each path; returns their statuses, 0 without a response."""
    sent = [
        send_unfinished_form(gateway, path, size)
        for path, size in sizes.items()
        for _ in range(number)
    ]
    forms = await asyncio.gather(*sent)
    statuses = await asyncio.gather(*(form.status() for form in forms))
    for form in forms:
        form.abort()
    return statuses


async def test_oversized_forms_are_refused_without_buffering(with_sso: Gateway):
    sizes = {NOT_FOUND: MAX_BODY_BYTES, FORM: MAX_BODY_BYTES, ACS_PATH: MAX_BODY_BYTES}
    for path in sizes:
        (await send_unfinished_form(with_sso, path, 1_000)).close()
    before = peak_bytes(with_sso.process.pid)
    statuses = await send_unfinished_forms(with_sso, sizes)
    grown = peak_bytes(with_sso.process.pid) - before

    assert Counter(statuses) == {404: UNFINISHED, 413: 2 * UNFINISHED}
    assert grown < len(statuses) * MAX_BODY_BYTES / 4


async def test_unfinished_forms_share_memory_limit_of_bodies(with_sso: Gateway):
    """Without a session all forms count for their address, which has half of the memory."""
    sizes = {FORM: 120 * 1024, ACS_PATH: 500 * 1024}
    statuses = await send_unfinished_forms(with_sso, sizes)

    waiting, refused = statuses.count(0), statuses.count(503)
    assert waiting + refused == len(statuses)
    assert refused > UNFINISHED // 2
    assert waiting > 0


async def test_unfinished_small_forms_are_limited_per_address(with_sso: Gateway):
    statuses = await send_unfinished_forms(with_sso, {FORM: 1_000}, MAX_RECEIVING + 10)

    assert Counter(statuses) == {0: MAX_RECEIVING, 503: 10}


@pytest.mark.parametrize("path", [FORM, ACS_PATH])
async def test_client_that_aborts_a_form_causes_no_internal_error(with_sso: Gateway, path: str):
    (await send_unfinished_form(with_sso, path, 1_000)).close()
    lines = await eventually(lambda: with_sso.log_lines("request"), WAIT_SECONDS)

    assert [(line["endpoint"], line["status"]) for line in lines] == [(path, 400)]
    assert with_sso.log_lines("internal error") == []
