"""Calls that come together: as independent as if each had come by itself."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
import structlog
from cloudacademy.batch.v1 import batch_pb2 as pb
from cloudacademy.batch.v1.batch_pb2_grpc import (
    BatchServiceStub,
    add_BatchServiceServicer_to_server,
)
from cloudacademy.users.v1 import sessions_pb2, users_pb2
from cloudacademy.users.v1.users_pb2_grpc import add_UserServiceServicer_to_server
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from structlog.testing import LogCapture

from chassis.concurrency.notifier import Bell
from chassis.database.pool import Database
from chassis.rpc.interceptor import Envelope
from chassis.rpc.local_dispatcher import InnerCalls
from tests.support.usersvc.serving import served
from tests.support.usersvc.user_calls import ACME, GLOBEX, NOBODY, create, get, invalid_field
from usersvc.rpc.batching.servicer import CARRIERS, BatchServicer
from usersvc.rpc.users import UsersServicer
from usersvc.store.listing.lists import Lists
from usersvc.store.schemas import SchemaStore
from usersvc.store.users import UserStore

GET = "/cloudacademy.users.v1.UserService/GetUser"
CREATE = "/cloudacademy.users.v1.UserService/CreateUser"
UPDATE = "/cloudacademy.users.v1.UserService/UpdateUser"


@pytest.fixture
def batch(channel: grpc.aio.Channel) -> BatchServiceStub:
    return BatchServiceStub(channel)


def reading(user_id: str, organization_id: str = ACME, **fields: Any) -> pb.Call:
    request = users_pb2.GetUserRequest(organization_id=organization_id, user_id=user_id)
    return pb.Call(
        **{"method": GET, "request": request.SerializeToString(), "timeout_ms": 5_000, **fields}
    )


async def execute(batch: BatchServiceStub, *calls: pb.Call) -> Sequence[pb.Outcome]:
    return (await batch.Execute(pb.ExecuteRequest(calls=calls))).outcomes


def codes(outcomes: Sequence[pb.Outcome]) -> list[int]:
    return [outcome.code for outcome in outcomes]


# What the service does with them.


async def test_each_has_its_own_outcome_in_the_order_of_the_calls(batch, users):
    ann, bob = [await create(users, f"{name}@corp.test") for name in ("ann", "bob")]
    found = await execute(batch, reading(bob.id), reading(NOBODY), reading(ann.id))

    assert codes(found) == [0, StatusCode.NOT_FOUND.value[0], 0]
    names = [users_pb2.GetUserResponse.FromString(each.response).user.user_name for each in found]
    assert names == ["bob@corp.test", "", "ann@corp.test"]
    assert NOBODY in found[1].message
    assert Status.FromString(found[1].status_details).code == StatusCode.NOT_FOUND.value[0]


async def test_one_that_waits_longer_than_it_may_ends_alone(batch, users, db):
    ann, bob = [await create(users, f"{name}@corp.test") for name in ("ann", "bob")]
    change = users_pb2.UpdateUserRequest(
        organization_id=ACME,
        user=users_pb2.User(id=ann.id, title="Dr."),
        update_mask={"paths": ["title"]},
    )
    async with db.transaction():
        await db.execute("SELECT FROM users WHERE user_name = 'ann@corp.test' FOR UPDATE")
        slow = pb.Call(method=UPDATE, request=change.SerializeToString(), timeout_ms=300)
        found = await execute(batch, slow, reading(bob.id))
    assert codes(found) == [StatusCode.DEADLINE_EXCEEDED.value[0], 0]
    assert (await get(users, ann.id)).title == ""


async def test_what_is_no_call_is_refused_alone(batch, users):
    ann = await create(users, "ann@corp.test")
    found = await execute(
        batch,
        reading(ann.id, method="/cloudacademy.users.v1.UserService/Sing"),
        reading(ann.id, method="/cloudacademy.batch.v1.BatchService/Execute"),
        reading(ann.id, request=b"\xff"),
        reading(ann.id),
    )
    unknown = StatusCode.UNIMPLEMENTED.value[0]
    assert codes(found) == [unknown, unknown, StatusCode.INVALID_ARGUMENT.value[0], 0]


async def test_too_many_at_once_are_refused(batch):
    with invalid_field("calls"):
        await execute(batch, *[reading(NOBODY)] * 101)


async def test_each_has_its_own_line_in_the_log_and_its_carrier_has_none(users_url, clock):
    capture = LogCapture()
    envelope = Envelope(
        structlog.wrap_logger(None, processors=[capture]),
        told=("organization_id",),
        carriers=CARRIERS,
    )
    server, inner = grpc.aio.server(interceptors=[envelope]), InnerCalls(envelope)
    async with Database(users_url, "test") as database:
        store = UserStore(database, Lists(database), Bell())
        add_UserServiceServicer_to_server(UsersServicer(store, SchemaStore(database), clock), inner)
        add_BatchServiceServicer_to_server(BatchServicer(inner, asyncio.Event()), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            calls = [
                reading(NOBODY, organization, metadata={"x-request-id": organization[-1]})
                for organization in (ACME, GLOBEX)
            ]
            await execute(BatchServiceStub(channel), *calls)
        await server.stop(None)

    told = [
        (line["method"], line["request_id"], line["organization_id"]) for line in capture.entries
    ]
    assert sorted(told) == [(GET, ACME[-1], ACME), (GET, GLOBEX[-1], GLOBEX)]


async def test_each_needs_its_own_permission(users_url, tmp_path):
    link = sessions_pb2.CreateSignInLinkRequest(organization_id=ACME, user_id=NOBODY)
    forbidden = pb.Call(
        method="/cloudacademy.users.v1.SessionService/CreateSignInLink",
        request=link.SerializeToString(),
        timeout_ms=1_000,
    )
    with served(users_url, tmp_path) as service:
        async with service.channel("billing") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await execute(BatchServiceStub(channel), reading(NOBODY))
            assert caught.value.code() is StatusCode.PERMISSION_DENIED
        async with service.channel("gateway") as channel:
            found = await execute(BatchServiceStub(channel), forbidden, reading(NOBODY))
    assert codes(found) == [StatusCode.UNIMPLEMENTED.value[0], StatusCode.NOT_FOUND.value[0]]
