"""While a process is down, requests get 503; then it recovers without losing data."""

import os
import signal
from uuid import uuid4

import pytest

from tests.support.scim import Client, Reply
from tests.support.stack import Stack
from tests.support.waiting import eventually

RECOVERY_SECONDS = 20.0


async def repeat_until_recovery(scim: Client, path: str) -> list[Reply]:
    """Repeat a request until it succeeds; returns all responses, the successful one last."""
    replies: list[Reply] = []

    async def has_recovered() -> bool:
        replies.append(await scim("GET", path))
        return replies[-1].status == 200

    await eventually(has_recovered, RECOVERY_SECONDS)
    return replies


@pytest.mark.parametrize("name", ["usersvc", "keysvc", "postgres"])
async def test_killed_process_restarts_with_acknowledged_data(
    tenant: Stack, scim: Client, name: str
):
    created = await scim("POST", "/Users", {"userName": f"{uuid4().hex}@corp.test"})
    path = f"/Users/{created.document['id']}"

    os.kill(tenant.pid(name), signal.SIGKILL)
    replies = await repeat_until_recovery(scim, path)

    *failed, recovered = replies
    assert {reply.status for reply in failed} <= {503}
    assert all(int(reply.headers["Retry-After"]) > 0 for reply in failed)
    assert recovered.document == created.document


async def test_unavailable_service_is_503_with_retry_after(tenant: Stack, scim: Client):
    pid = tenant.pid("usersvc")
    os.kill(pid, signal.SIGSTOP)
    try:
        reply = await scim("GET", "/Users?count=1")
    finally:
        os.kill(pid, signal.SIGCONT)
    recovered = await repeat_until_recovery(scim, "/Users?count=1")

    assert reply.status == 503
    assert reply.headers["Retry-After"] == "2"
    assert reply.document["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert recovered[-1].status == 200
