"""What breaks is told as 503, heals by itself, and loses nothing."""

import os
import signal
from uuid import uuid4

import pytest

from tests.support.scim import Client, Reply
from tests.support.stack import Stack
from tests.support.waiting import eventually

HEALED_SECONDS = 20.0


async def until_healed(scim: Client, path: str) -> list[Reply]:
    """Every answer up to the first success, which is the last."""
    replies: list[Reply] = []

    async def is_healed() -> bool:
        replies.append(await scim("GET", path))
        return replies[-1].status == 200

    await eventually(is_healed, HEALED_SECONDS)
    return replies


@pytest.mark.parametrize("name", ["usersvc", "keysvc", "postgres"])
async def test_killed_process_restarts_with_acknowledged_data(
    tenant: Stack, scim: Client, name: str
):
    created = await scim("POST", "/Users", {"userName": f"{uuid4().hex}@corp.test"})
    path = f"/Users/{created.document['id']}"

    os.kill(tenant.pid(name), signal.SIGKILL)
    replies = await until_healed(scim, path)

    *refused, healed = replies
    assert {reply.status for reply in refused} <= {503}
    assert all(int(reply.headers["Retry-After"]) > 0 for reply in refused)
    assert healed.document == created.document


async def test_unavailable_service_is_503_with_retry_after(tenant: Stack, scim: Client):
    pid = tenant.pid("usersvc")
    os.kill(pid, signal.SIGSTOP)
    try:
        reply = await scim("GET", "/Users?count=1")
    finally:
        os.kill(pid, signal.SIGCONT)
    healed = await until_healed(scim, "/Users?count=1")

    assert reply.status == 503
    assert reply.headers["Retry-After"] == "2"
    assert reply.document["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert healed[-1].status == 200
