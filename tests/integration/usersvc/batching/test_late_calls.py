"""Calls that arrive after their callers' deadlines."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import pytest
from cloudacademy.batch.v1 import batch_pb2
from cloudacademy.batch.v1.batch_pb2_grpc import BatchServiceStub
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from chassis.rpc import channel as channels
from chassis.rpc.status import from_rpc_error
from gateway.backend import client as clients
from gateway.backend.client import Origin, UserClient
from gateway.backend.errors import RefusedError
from tests.support.usersvc.user_calls import ACME, create, get, update
from tools.chaos.proxy import Proxy

UPDATE = "/cloudacademy.users.v1.UserService/UpdateUser"
LATE = (StatusCode.DEADLINE_EXCEEDED.value[0], "DEADLINE_EXCEEDED")
CallStatus = tuple[int, str]
SendCall = Callable[
    [grpc.aio.Channel, users_pb2.UpdateUserRequest, dict[str, str]], Awaitable[CallStatus]
]


def deadline_in(seconds: float) -> dict[str, str]:
    return {"x-end-by": str(round((time.time() + seconds) * 1_000))}


def deactivation(user: users_pb2.User) -> users_pb2.UpdateUserRequest:
    return users_pb2.UpdateUserRequest(
        organization_id=ACME, user={"id": user.id}, update_mask={"paths": ["active"]}
    )


async def send_unbatched(
    channel: grpc.aio.Channel, request: Any, metadata: Mapping[str, str]
) -> CallStatus:
    try:
        await UserServiceStub(channel).UpdateUser(
            request, timeout=10, metadata=tuple(metadata.items())
        )
    except grpc.aio.AioRpcError as error:
        return error.code().value[0], from_rpc_error(error).reason
    return 0, ""


async def send_on_stream(
    channel: grpc.aio.Channel, request: Any, metadata: dict[str, str]
) -> CallStatus:
    stream = BatchServiceStub(channel).StreamCalls()
    await stream.write(batch_pb2.StreamCallsRequest(calls=[batched_call(request, metadata)]))
    (outcome,) = (await stream.read()).outcomes
    await stream.done_writing()
    return status_of(outcome)


def batched_call(request: Any, metadata: dict[str, str]) -> batch_pb2.Call:
    return batch_pb2.Call(
        method=UPDATE, request=request.SerializeToString(), metadata=metadata, timeout_ms=10_000
    )


def status_of(outcome: batch_pb2.Outcome) -> CallStatus:
    info = ErrorInfo()
    for detail in Status.FromString(outcome.status_details).details:
        detail.Unpack(info)
    return outcome.code, info.reason


both_ways = pytest.mark.parametrize("send_call", [send_unbatched, send_on_stream])


@both_ways
async def test_call_after_its_deadline_is_refused_without_effect(
    channel, users, send_call: SendCall
):
    ann = await create(users, "ann@corp.test", active=True)

    assert await send_call(channel, deactivation(ann), deadline_in(-0.1)) == LATE
    assert await get(users, ann.id) == ann

    assert await send_call(channel, deactivation(ann), deadline_in(9)) == (0, "")
    assert not (await get(users, ann.id)).active


@both_ways
async def test_running_call_is_cancelled_at_its_deadline(channel, users, db, send_call: SendCall):
    ann = await create(users, "ann@corp.test", active=True)
    async with db.transaction():
        await db.execute("SELECT FROM users FOR UPDATE")
        assert await send_call(channel, deactivation(ann), deadline_in(0.3)) == LATE
    assert await get(users, ann.id) == ann


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "9" * 16, "1\u0663"])
async def test_malformed_deadline_metadata_is_refused(channel, users, value):
    ann = await create(users, "ann@corp.test", active=True)

    found = await send_on_stream(channel, deactivation(ann), {"x-end-by": value})

    assert found == (StatusCode.INVALID_ARGUMENT.value[0], "INVALID_FIELD")
    assert await get(users, ann.id) == ann


@pytest.fixture
async def proxy(users_port: int, monkeypatch) -> AsyncIterator[Proxy]:
    """A proxy in front of the service that can hold data back, and clients with short timeouts."""
    monkeypatch.setattr(channels, "KEEPALIVE_SECONDS", 0.5)
    monkeypatch.setattr(channels, "KEEPALIVE_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(clients, "DEADLINE_SECONDS", 4.0)
    running = Proxy(("127.0.0.1", users_port))
    await running.start()
    yield running
    await running.stop()


@pytest.mark.parametrize("batched", [False, True])
async def test_call_reported_as_failed_is_never_carried_out_later(users, proxy, batched):
    ann = await create(users, "ann@corp.test", active=True)
    async with channels.connect(f"127.0.0.1:{proxy.port}", {}) as channel:
        client = UserClient(channel, clients.batch_channel(channel) if batched else None)
        request = users_pb2.GetUserRequest(organization_id=ACME, user_id=ann.id)
        assert (await client.get(request, Origin("1"))).user == ann
        proxy.hold()
        change = asyncio.create_task(client.update(deactivation(ann), Origin("2")))
        await wait_until_lost(channel)
        # The connection is lost but its data is still held: the call has not failed yet.
        assert not change.done()
        proxy.deliver()
        with pytest.raises(RefusedError) as caught:
            await change
    assert caught.value.status == 503
    # From here on, nothing may change whether the call was carried out.
    again = await update(users, ann.id, active=True, title="Dr.")
    assert await get(users, ann.id) == again


async def wait_until_lost(channel: grpc.aio.Channel) -> None:
    while (state := channel.get_state()) is grpc.ChannelConnectivity.READY:
        await channel.wait_for_state_change(state)
