"""API keys: which requests they authorize, and when they stop working."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

from cloudacademy.keys.v1 import keys_pb2 as pb

from tests.support.operators import Operator
from tests.support.scim import Client, Reply, client
from tests.support.stack import Stack
from tests.support.waiting import eventually

PORTAL_PATH = "Settings & Integrations → Integrations"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"

WAIT_SECONDS = 5.0
"""Enough on a busy machine, and far below the 30 seconds for which a gateway caches a key. Only an
idle machine can show that a key stops working within a second."""


async def repeat_until(status: int, request: Callable[[], Awaitable[Reply]]) -> Reply:
    """Repeat a request until its response has the status; returns the last response in any case."""
    deadline = time.monotonic() + WAIT_SECONDS

    async def last_reply() -> Reply | None:
        reply = await request()
        return reply if reply.status == status or time.monotonic() > deadline else None

    return await eventually(last_reply)


def with_key(scim: Client, token: str) -> Callable[[], Awaitable[Reply]]:
    return lambda: scim("GET", "/Users?count=0", Authorization=f"Bearer {token}")


async def test_request_without_key_is_401_and_says_where_to_get_one(tenant: Stack):
    async with client(replace(tenant, token="")) as scim:
        reply = await scim("GET", "/Users", Authorization="")

    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert reply.document["schemas"] == [ERROR]
    assert reply.document["status"] == "401"
    assert PORTAL_PATH in reply.document["detail"]


async def test_mistyped_key_is_refused(scim: Client):
    last = "0" if scim.token[-1] != "0" else "1"

    reply = await with_key(scim, scim.token[:-1] + last)()

    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_key_pasted_with_bearer_prefix_works(scim: Client):
    assert (await with_key(scim, f"Bearer {scim.token}")()).status == 200


async def test_revoked_key_stops_although_cached(scim: Client, operate: Operator):
    generated = await operate.generate_key(await operate.create_organization())
    used = await with_key(scim, generated.token)()

    await operate.revoke(generated.key)
    refused = await repeat_until(401, with_key(scim, generated.token))

    assert (used.status, refused.status) == (200, 401)
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert "revoked" in refused.document["detail"]


async def test_keys_of_switched_off_integration_are_refused(scim: Client, operate: Operator):
    organization_id = await operate.create_organization()
    generated = await operate.generate_key(organization_id)
    used = await with_key(scim, generated.token)()

    await operate.integrations.DeactivateIntegration(
        pb.DeactivateIntegrationRequest(organization_id=organization_id)
    )
    refused = await repeat_until(401, with_key(scim, generated.token))
    await operate.integrations.ActivateIntegration(
        pb.ActivateIntegrationRequest(organization_id=organization_id)
    )
    again = await repeat_until(200, with_key(scim, generated.token))

    assert (used.status, refused.status, again.status) == (200, 401, 200)
    assert "switched off" in refused.document["detail"]
    assert PORTAL_PATH in refused.document["detail"]


async def test_old_and_new_key_work_after_generation(scim: Client, operate: Operator):
    organization_id = await operate.create_organization()
    old, new = (
        await operate.generate_key(organization_id),
        await operate.generate_key(organization_id),
    )

    replies = [await with_key(scim, token)() for token in (old.token, new.token)]

    assert [reply.status for reply in replies] == [200, 200]


async def test_key_of_other_region_is_refused_with_tenant_url(tenant: Stack, eu_tenant: Stack):
    async with client(replace(eu_tenant, token=tenant.token)) as scim:
        reply = await scim("GET", "/Users")

    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert "Tenant URL" in reply.document["detail"]
    assert "/webhooks/ad/v1/scim" in reply.document["detail"]


async def test_key_does_not_reach_users_of_another_organization(scim: Client, operate: Operator):
    user = {"userName": f"{uuid4().hex}@corp.test", "title": "original"}
    created = await scim("POST", "/Users", user)
    path = f"/Users/{created.document['id']}"
    name = user["userName"].replace("@", "%40")
    other_key = f"Bearer {(await operate.generate_key(await operate.create_organization())).token}"
    patch = {"Operations": [{"op": "replace", "path": "title", "value": "changed"}]}

    replies = [
        await scim("GET", path, Authorization=other_key),
        await scim("PUT", path, {"userName": "x"}, Authorization=other_key),
        await scim("PATCH", path, patch, Authorization=other_key),
        await scim("DELETE", path, Authorization=other_key),
    ]
    found = await scim("GET", f"/Users?filter=userName+eq+%22{name}%22", Authorization=other_key)
    same_name = await scim(
        "POST", "/Users", {"userName": user["userName"]}, Authorization=other_key
    )

    assert [reply.status for reply in replies] == [404] * 4
    assert found.document["totalResults"] == 0
    assert same_name.status == 201
    assert (await scim("GET", path)).document == created.document


async def test_tokens_are_not_logged(tenant: Stack, scim: Client):
    token = tenant.token
    await with_key(scim, token)()
    await with_key(scim, tenant.token[:-1])()
    for path in (f"/{token}", f"/Users/{token}", f"/Users?access_token={token}", f"/Users?{token}"):
        await scim("GET", path)
    await scim("GET", f"/Users?filter=userName+eq+%22{token}%22")
    await scim("GET", f"/Users?cursor={token}")

    logs = [tenant.log(name) for name in ("gateway", "usersvc", "keysvc", "postgres")]

    assert all(logs)
    assert not any(token[:-1] in log for log in logs)
