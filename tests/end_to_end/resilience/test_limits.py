"""Limits of organizations and addresses: responses in SCIM's error format, with Retry-After."""

import asyncio
import itertools
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb

from keysvc.domain.key_token import generate
from keysvc.domain.organizations import Region
from tests.support.gateways import Gateway, running_gateway
from tests.support.operators import Operator
from tests.support.scim import Client, Reply
from tests.support.stack import Stack
from tests.support.waiting import eventually, pace

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
RATE, BURST = 5, 20
UNKNOWN_KEYS = 5
PROXIED = {"X_Forwarded_For": "203.0.113.7"}


@pytest.fixture(scope="module")
def strict(tenant: Stack) -> Iterator[Gateway]:
    """A gateway with low limits on organizations and on unknown keys of an address."""
    with running_gateway(
        tenant,
        organization_rate=RATE,
        organization_burst=BURST,
        unknown_keys=UNKNOWN_KEYS,
        proxies=1,
    ) as gateway:
        yield gateway


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as opened:
        yield opened


class Organizations:
    """Creates organizations and clients that use the strict gateway."""

    def __init__(self, operate: Operator, gateway: Gateway, session: aiohttp.ClientSession) -> None:
        self.operate = operate
        self._gateway = gateway
        self._session = session

    async def client(self, organization_id: str = "") -> Client:
        """A client with a new key, by default of a new organization."""
        key = await self.operate.generate_key(
            organization_id or await self.operate.create_organization()
        )
        return self.with_token(key.token)

    def with_token(self, token: str) -> Client:
        return self._gateway.client(self._session, token)


@pytest.fixture
def organizations(
    operate: Operator, strict: Gateway, session: aiohttp.ClientSession
) -> Organizations:
    return Organizations(operate, strict, session)


async def flood(scim: Client, number: int) -> list[Reply]:
    return await asyncio.gather(*(scim("GET", "/Users?count=0") for _ in range(number)))


def statuses(replies: list[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


def unknown_key() -> str:
    """A well-formed key that does not exist."""
    return generate(Region.US, os.urandom).text


async def test_response_has_rate_limit_policy_and_remaining_quota(organizations: Organizations):
    scim = await organizations.client()
    first = await scim("GET", "/Users?count=0")
    second = await scim("GET", "/Users/none")

    assert [first.status, second.status] == [200, 404]
    assert [each.headers["RateLimit-Policy"] for each in (first, second)] == [
        f'"organization";q={BURST};w={BURST // RATE}'
    ] * 2
    quotas = [
        re.fullmatch(r'"organization";r=(\d+);t=(\d+)', each.headers["RateLimit"])
        for each in (first, second)
    ]
    assert [int(each[1]) for each in quotas] == [BURST - 1, BURST - 2]
    assert all(int(each[1]) / int(each[2]) <= RATE for each in quotas)


async def test_organization_over_rate_is_429_and_another_is_served(
    organizations: Organizations,
):
    greedy, modest = await organizations.client(), await organizations.client()

    flooded, served = await asyncio.gather(flood(greedy, 150), flood(modest, BURST // 2))

    assert statuses(flooded).keys() == {200, 429}
    assert statuses(flooded)[200] >= BURST
    assert statuses(served) == {200: BURST // 2}
    refused = [reply for reply in flooded if reply.status == 429]
    for reply in refused:
        assert reply.document["schemas"] == [ERROR]
        assert reply.document["status"] == "429"
        assert f"more than {RATE} requests a second" in reply.document["detail"]
        assert int(reply.headers["Retry-After"]) >= 1
        assert reply.headers["RateLimit"] == '"organization";r=0;t=1'


async def test_large_refused_bodies_count_as_several_requests(organizations: Organizations):
    greedy, modest = await organizations.client(), await organizations.client()
    numbers = {"userName": "a", "emails": [1] * 300_000}  # 600 KiB: 18 more requests each

    refused = [await greedy("POST", "/Users", numbers) for _ in range(2)]
    served = await modest("GET", "/Users?count=0")

    assert [each.status for each in refused] == [400, 429]
    assert int(refused[0].headers["RateLimit"].partition("r=")[2].partition(";")[0]) <= 1
    assert "a large request counts as several" in refused[1].document["detail"]
    assert served.status == 200


async def test_429_response_to_head_has_no_body(
    organizations: Organizations,
):
    scim = await organizations.client()
    await flood(scim, BURST * 3)
    replies = [await scim(method, "/Users?count=0") for method in ("HEAD", "GET", "HEAD")]

    assert statuses(replies) == {429: 3}
    assert [reply.document is None for reply in replies] == [True, False, True]


async def test_client_that_waits_for_retry_after_is_served(organizations: Organizations):
    scim = await organizations.client()
    replies = await flood(scim, BURST * 3)
    (wait,) = {reply.headers["Retry-After"] for reply in replies if reply.status == 429}

    await pace(int(wait))  # as Retry-After says

    assert (await scim("GET", "/Users?count=0")).status == 200


async def test_second_key_does_not_raise_organization_rate(organizations: Organizations):
    organization_id = await organizations.operate.create_organization()
    first = await organizations.client(organization_id)
    second = await organizations.client(organization_id)

    replies = [*await flood(first, BURST * 3), *await flood(second, BURST)]

    assert statuses(replies)[200] < BURST * 2


async def test_bulk_request_is_charged_per_operation(organizations: Organizations):
    scim = await organizations.client()
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(n), "data": {"userName": f"{n}@b.test"}}
        for n in range(BURST + 30)
    ]
    urn = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
    reply = await scim("POST", "/Bulk", {"schemas": [urn], "Operations": operations})
    after = await scim("GET", "/Users?count=0")

    assert reply.status == 200
    assert {each["status"] for each in reply.document["Operations"]} == {"201"}
    assert reply.headers["RateLimit"] == '"organization";r=0;t=1'
    assert after.status == 429
    assert int(after.headers["Retry-After"]) > 1


async def test_unknown_keys_over_limit_are_429_and_known_keys_work(
    organizations: Organizations, strict: Gateway
):
    good = await organizations.client()
    before = await good("GET", "/Users?count=0", **PROXIED)
    attempts = [
        await organizations.with_token(unknown_key())("GET", "/Users", **PROXIED)
        for _ in range(UNKNOWN_KEYS * 4)
    ]
    after = await good("GET", "/Users?count=0", **PROXIED)
    elsewhere = await organizations.with_token(unknown_key())(
        "GET", "/Users", X_Forwarded_For="203.0.113.8"
    )

    assert (before.status, after.status) == (200, 200)
    assert statuses(attempts[:UNKNOWN_KEYS]) == {401: UNKNOWN_KEYS}
    assert statuses(attempts).keys() == {401, 429}
    assert statuses(attempts)[429] > UNKNOWN_KEYS
    for reply in attempts:
        if reply.status == 429:
            assert reply.document["schemas"] == [ERROR]
            assert "too many such keys" in reply.document["detail"]
            assert int(reply.headers["Retry-After"]) >= 1
            assert "RateLimit" not in reply.headers
    assert elsewhere.status == 401
    assert good.token not in str(strict.log)


async def test_new_key_works_while_its_address_is_over_limit(
    organizations: Organizations,
):
    """Many customers share Entra's addresses, and a restarted gateway has an empty key cache."""
    address = {"X_Forwarded_For": "203.0.113.12"}
    good = await organizations.client()
    for _ in range(UNKNOWN_KEYS):
        await organizations.with_token(unknown_key())("GET", "/Users", **address)
    wrong = organizations.with_token(unknown_key())
    over, fresh = await asyncio.gather(
        wrong("GET", "/Users", **address), good("GET", "/Users?count=0", **address)
    )
    again = await wrong("GET", "/Users", **address)

    assert (over.status, fresh.status, again.status) == (429, 200, 401)
    assert int(over.headers["Retry-After"]) >= 1


async def test_forty_new_keys_from_one_address_work_at_once(organizations: Organizations):
    address = {"X_Forwarded_For": "203.0.113.13"}
    organization_ids = [await organizations.operate.create_organization() for _ in range(8)]
    clients = [await organizations.client(each) for each in organization_ids for _ in range(5)]
    replies = await asyncio.gather(*(each("GET", "/Users?count=0", **address) for each in clients))

    assert statuses(replies) == {200: 40}


async def test_known_key_works_after_cache_invalidation(
    organizations: Organizations, operate: Operator
):
    """A change of an organization's keys invalidates the gateway's cache of them."""
    organization_id = await operate.create_organization()
    good = await organizations.client(organization_id)
    address = {"X_Forwarded_For": "203.0.113.9"}
    await good("GET", "/Users?count=0", **address)
    for _ in range(UNKNOWN_KEYS * 2):
        await organizations.with_token(unknown_key())("GET", "/Users", **address)
    spare = await operate.generate_key(organization_id)
    await operate.revoke(spare.key)

    assert (await good("GET", "/Users?count=0", **address)).status == 200


async def test_repeated_wrong_key_is_counted_and_looked_up_once(
    organizations: Organizations, tenant: Stack
):
    """Entra repeats a mistyped key; valid keys from its addresses must still work."""
    wrong = organizations.with_token(unknown_key())
    address = {"X_Forwarded_For": "203.0.113.10"}
    before = tenant.log("keysvc").count("Authenticate")
    replies = [await wrong("GET", "/Users", **address) for _ in range(UNKNOWN_KEYS * 10)]
    lookups = tenant.log("keysvc").count("Authenticate") - before

    assert statuses(replies) == {401: UNKNOWN_KEYS * 10}
    assert lookups < 5


async def test_key_works_once_integration_is_switched_on_again(
    organizations: Organizations, operate: Operator
):
    """A cached refusal must not outlive its reason."""
    organization_id = await operate.create_organization()
    scim = await organizations.client(organization_id)
    address = {"X_Forwarded_For": "203.0.113.11"}
    request = pb.DeactivateIntegrationRequest(organization_id=organization_id)
    await operate.integrations.DeactivateIntegration(request)
    off = await repeat_until(401, scim, address)
    again = await scim("GET", "/Users?count=0", **address)
    await operate.integrations.ActivateIntegration(
        pb.ActivateIntegrationRequest(organization_id=organization_id)
    )
    on = await repeat_until(200, scim, address)

    assert "switched off" in off.document["detail"]
    assert again.document["detail"] == off.document["detail"]
    assert on.status == 200


async def test_requests_are_rejected_while_a_service_hangs(
    tenant: Stack, session: aiohttp.ClientSession
):
    """Requests beyond those with a slot and those in the queue are rejected at once."""
    pid = tenant.pid("usersvc")
    with running_gateway(tenant, max_requests=4) as gateway:
        scim = gateway.client(session, tenant.token)
        assert (await scim("GET", "/Users?count=1")).status == 200
        os.kill(pid, signal.SIGSTOP)
        try:
            requests = [asyncio.create_task(scim("GET", "/Users?count=0")) for _ in range(60)]
            first = itertools.islice(asyncio.as_completed(requests), 58)
            async with asyncio.timeout(9):  # less than the deadline of the requests with a slot
                rejected = [await each for each in first]
            page = await session.get(gateway.base_url + "/healthz")
        finally:
            os.kill(pid, signal.SIGCONT)
        others = [await each for each in requests]

    assert statuses(rejected) == {503: 58}
    assert all(reply.headers["Retry-After"] == "2" for reply in rejected)
    assert all("too many requests" in reply.document["detail"] for reply in rejected)
    assert page.status == 200
    assert statuses(others) == {503: 58, 200: 2}


async def repeat_until(status: int, scim: Client, headers: dict[str, str]) -> Reply:
    """Repeat a request until its response has the status; returns that response."""

    async def wanted() -> Reply | None:
        reply = await scim("GET", "/Users?count=0", **headers)
        return reply if reply.status == status else None

    return await eventually(wanted)
