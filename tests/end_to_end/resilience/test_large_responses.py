"""Large responses: bounded memory in the gateway, and service for other organizations."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import orjson
import pytest

from gateway.api.groups import MAX_PATCHED_MEMBERS
from tests.support import raw_http
from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.process_memory import MEBIBYTE, peak_bytes
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tools.chaos.proxy import Proxy

MAX_BYTES = 300 * MEBIBYTE
MEMBERS, MANY_MEMBERS = 50_000, 250_000
UNREAD_MEMBERS = 20_000
"""Number of members of a group that exceeds the buffers between gateway and client."""
CONCURRENT = 24
PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_ID = re.compile(rb'"value":"([0-9a-f-]{36})"')


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization, its key, and a group of all its users."""

    id: str
    token: str
    group_id: str
    members: int

    @property
    def group(self) -> str:
        return f"/Groups/{self.group_id}"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    unlimited = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=90)
    async with aiohttp.ClientSession(connector=unlimited, timeout=timeout) as opened:
        yield opened


@pytest.fixture
def gateway(tenant: Stack) -> Iterator[Gateway]:
    with running_gateway(tenant) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Organizations:
    """Creates organizations with many users directly in the database."""

    operate: Operator
    tenant: Stack

    async def with_members(self, number: int) -> Organization:
        organization_id = await self.operate.create_organization()
        key = await self.operate.generate_key(organization_id)
        group_id = uuid4()
        database = await asyncpg.connect(self.tenant.database_url("users"))
        try:
            async with database.transaction():
                await _fill(database, UUID(organization_id), group_id, number)
        finally:
            await database.close()
        return Organization(organization_id, key.token, str(group_id), number)


async def _fill(
    database: asyncpg.Connection, organization_id: UUID, group_id: UUID, number: int
) -> None:
    await database.execute(
        """
        INSERT INTO users (organization_id, create_time, update_time, user_name, active)
        SELECT $1, now(), now(), n || '@corp.test', true
          FROM generate_series(1, $2::integer) AS n
        """,
        organization_id, number,
    )  # fmt: skip
    await database.execute(
        """
        INSERT INTO groups (organization_id, group_id, create_time, update_time, display_name)
        VALUES ($1, $2, now(), now(), 'Everybody')
        """,
        organization_id, group_id,
    )  # fmt: skip
    await database.execute(
        """
        INSERT INTO group_users (organization_id, group_id, user_id)
        SELECT organization_id, $2, user_id FROM users WHERE organization_id = $1
        """,
        organization_id, group_id,
    )  # fmt: skip


@pytest.fixture
def organizations(operate: Operator, tenant: Stack) -> Organizations:
    return Organizations(operate, tenant)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def member_ids(self) -> list[bytes]:
        return _ID.findall(self.body)


@dataclass(frozen=True, slots=True)
class GatewayClient:
    """Sends requests to a gateway."""

    session: aiohttp.ClientSession
    gateway: Gateway

    async def __call__(
        self, token: str, path: str, method: str = "GET", body: object = None
    ) -> Reply:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
        data = None if body is None else orjson.dumps(body)
        url = self.gateway.url + path
        async with self.session.request(method, url, headers=headers, data=data) as reply:
            return Reply(reply.status, reply.headers, await reply.read())


@pytest.fixture
def send(session: aiohttp.ClientSession, gateway: Gateway) -> GatewayClient:
    return GatewayClient(session, gateway)


def assert_complete_or_refused(replies: Sequence[Reply], members: int) -> None:
    """Assert that each response is 200 with each member once, or 503 with Retry-After."""
    statuses = Counter(reply.status for reply in replies)
    assert statuses[200] > 0
    assert statuses.keys() <= {200, 503}
    for reply in replies:
        if reply.status == 503:
            assert int(reply.headers["Retry-After"]) > 0
            continue
        assert reply.body.endswith(b"]}")
        assert len(set(reply.member_ids)) == len(reply.member_ids) == members


async def test_concurrent_reads_of_large_groups_fit_into_memory(
    organizations: Organizations, gateway: Gateway, send: GatewayClient
):
    org = await organizations.with_members(MEMBERS)
    listed = f"/Groups?filter=id%20eq%20%22{org.group_id}%22"
    paths = [org.group] * CONCURRENT + [listed] * 4
    replies = await asyncio.gather(*(send(org.token, path) for path in paths))

    assert_complete_or_refused(replies, MEMBERS)
    assert peak_bytes(gateway.process.pid) < MAX_BYTES


async def test_group_of_250000_members_is_returned_in_full(
    organizations: Organizations, gateway: Gateway, send: GatewayClient
):
    org = await organizations.with_members(MANY_MEMBERS)
    read = await send(org.token, org.group)
    document = orjson.loads(read.body)

    assert len({member["value"] for member in document["members"]}) == MANY_MEMBERS
    assert document["meta"]["version"] == read.headers["ETag"]
    assert peak_bytes(gateway.process.pid) < MAX_BYTES


async def test_large_group_has_headers_and_projections_of_a_small_one(
    organizations: Organizations, gateway: Gateway, send: GatewayClient
):
    org = await organizations.with_members(3_000)
    full = await send(org.token, org.group)
    displays_only = await send(org.token, f"{org.group}?attributes=members.display")
    head = await send(org.token, org.group, "HEAD")
    location = full.headers["Location"]

    document = orjson.loads(full.body)
    assert document["meta"]["location"] == full.headers["Content-Location"] == location
    assert document["members"][0].keys() == {"value", "$ref", "type"}
    projected = orjson.loads(displays_only.body)
    assert projected.keys() == {"schemas", "id", "members"}
    displays = {member["display"] for member in projected["members"]}
    assert displays == {f"{number}@corp.test" for number in range(1, 3_001)}
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", full.headers["ETag"])


@asynccontextmanager
async def unread(
    gateway: Gateway, token: str, path: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send a request over a connection with small buffers, and leave its response unread."""
    connection = await raw_http.connect(gateway.address, receive_buffer=4_096)
    target = gateway.url.removeprefix(gateway.base_url) + path
    connection.send(
        f"GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    try:
        yield connection.reader, connection.writer
    finally:
        connection.abort()


async def test_failure_during_streamed_group_closes_connection(
    tenant: Stack, organizations: Organizations, session: aiohttp.ClientSession
):
    org = await organizations.with_members(UNREAD_MEMBERS)
    proxy = Proxy(("127.0.0.1", tenant.service_port("usersvc")))
    await proxy.start()
    with running_gateway(tenant, usersvc=f"127.0.0.1:{proxy.port}") as gateway:
        async with unread(gateway, org.token, org.group) as (reader, _):
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            proxy.cut = True
            await proxy.stop()
            rest = await _read_to_end(reader)
        lines = await eventually(lambda: gateway.log_lines("request"))
        async with session.get(gateway.metrics_url) as reply:
            metrics = await reply.text()

    labels = (
        'error_type="aborted",http_request_method="GET",http_response_status_code="200",'
        'http_route="/Groups/{id}"'
    )
    assert f"http_server_request_duration_seconds_count{{{labels}}} 1.0" in metrics
    assert not rest.endswith(b"0\r\n\r\n")
    assert [(line["status"], line["abort_reason"]) for line in lines] == [(200, "backend_error")]


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    """Read until the connection is closed or aborted."""
    parts = []
    try:
        async with asyncio.timeout(60):
            while part := await reader.read(65536):
                parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


async def test_deletion_of_streamed_group_closes_connection(
    organizations: Organizations, gateway: Gateway, send: GatewayClient
):
    org = await organizations.with_members(UNREAD_MEMBERS)
    async with unread(gateway, org.token, org.group) as (reader, _):
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        deleted = await send(org.token, org.group, "DELETE")
        rest = await _read_to_end(reader)

    assert deleted.status == 204
    assert not rest.endswith(b"0\r\n\r\n")


async def test_clients_that_never_read_do_not_block_others(
    organizations: Organizations, gateway: Gateway, send: GatewayClient
):
    slow = await organizations.with_members(UNREAD_MEMBERS)
    quick = await organizations.with_members(5_000)
    readers = [unread(gateway, slow.token, slow.group) for _ in range(2 * CONCURRENT)]
    opened = [await each.__aenter__() for each in readers]
    status_lines = [await reader.readline() for reader, _ in opened]
    replies = [await send(quick.token, quick.group) for _ in range(5)]
    own = await send(slow.token, "/Users?count=0")
    peak = peak_bytes(gateway.process.pid)
    for each in readers:
        await each.__aexit__(None, None, None)

    statuses = Counter(line.split()[1] for line in status_lines)
    assert statuses.keys() <= {b"200", b"503"}
    assert statuses[b"200"] >= CONCURRENT
    assert_complete_or_refused(replies, 5_000)
    assert [reply.status for reply in replies] == [200] * 5
    assert own.status == 200
    assert peak < MAX_BYTES


def large_user(name: str) -> dict[str, Any]:
    """A user whose JSON is six times as large as its values, because each character is escaped."""
    values = [{"value": f"{n}" + "\x01" * 150, "type": "work"} for n in range(240)]
    names = ("emails", "ims", "roles", "entitlements")
    return {"userName": name, **dict.fromkeys(names, values)}


async def create_large_users(send: GatewayClient, token: str, number: int) -> list[str]:
    ids = []
    for index in range(number):
        reply = await send(token, "/Users", "POST", large_user(f"{index}@x.test"))
        assert reply.status == 201, reply.body
        ids.append(orjson.loads(reply.body)["id"])
    return ids


async def test_concurrent_reads_of_large_users_fit_into_memory(
    organizations: Organizations, gateway: Gateway, send: GatewayClient
):
    orgs = [await organizations.with_members(0) for _ in range(2)]
    user_ids = [await create_large_users(send, org.token, 6) for org in orgs]
    requests = [
        (org.token, path)
        for org, ids in zip(orgs, user_ids, strict=True)
        for path in (f"/Users/{ids[0]}", "/Users?count=1000", "/Users?cursor=&count=1000")
        for _ in range(CONCURRENT // 3)
    ]
    replies = await asyncio.gather(*(send(token, path) for token, path in requests))

    assert {reply.status for reply in replies} <= {200, 503}
    assert peak_bytes(gateway.process.pid) < MAX_BYTES
    for token, path in requests[:: CONCURRENT // 3]:
        reply = await send(token, path)
        assert reply.status == 200
        document = orjson.loads(reply.body)
        users = document.get("Resources", [document])
        assert len(users) == document.get("itemsPerPage", 1)
        assert users[0]["emails"] == large_user("")["emails"]


async def test_patch_of_large_user_returns_it_in_full(
    organizations: Organizations, gateway: Gateway, send: GatewayClient
):
    org = await organizations.with_members(0)
    (user_id,) = await create_large_users(send, org.token, 1)
    operation = {"op": "replace", "path": "title", "value": "Dr."}
    body = {"schemas": [PATCH_URN], "Operations": [operation]}
    reply = await send(org.token, f"/Users/{user_id}", "PATCH", body)
    document = orjson.loads(reply.body)

    assert reply.status == 200
    assert document["title"] == "Dr."
    assert document["emails"] == large_user("")["emails"]


async def test_patch_that_needs_too_many_members_says_what_to_send(
    organizations: Organizations, gateway: Gateway, send: GatewayClient
):
    too_large = await organizations.with_members(MAX_PATCHED_MEMBERS + 1)
    operation = {"op": "remove", "path": 'members[display eq "1@corp.test"]'}
    body = {"schemas": [PATCH_URN], "Operations": [operation]}
    refused = await send(too_large.token, too_large.group, "PATCH", body)
    smaller = await organizations.with_members(1_200)
    patched = await send(smaller.token, smaller.group, "PATCH", body)
    remaining = await send(smaller.token, smaller.group)

    assert (refused.status, orjson.loads(refused.body)["scimType"]) == (400, "tooMany")
    assert "members[value eq" in orjson.loads(refused.body)["detail"]
    assert patched.status == 204
    assert len(remaining.member_ids) == 1_199
