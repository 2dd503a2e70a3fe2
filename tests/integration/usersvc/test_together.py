"""Calls that come together: as independent as if each had come by itself."""

import asyncio
from collections.abc import Callable, Sequence
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
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from structlog.testing import LogCapture

from chassis.bell import Bell
from chassis.database import Database
from chassis.envelope import Envelope
from chassis.inner_calls import InnerCalls
from chassis.status import from_rpc_error
from gateway.coalescing import APART_SECONDS, MAX_CALLS, UNDER_WAY, Coalescer
from tests.integration.usersvc.serving import served
from tests.integration.usersvc.user_calls import (
    ACME,
    GLOBEX,
    NOBODY,
    create,
    get,
    invalid_field,
    update,
)
from usersvc.batch_servicer import EXECUTE, BatchServicer
from usersvc.list_store import Lists
from usersvc.schema_store import SchemaStore
from usersvc.user_store import UserStore
from usersvc.users_servicer import UsersServicer

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
        carriers={EXECUTE},
    )
    server, inner = grpc.aio.server(interceptors=[envelope]), InnerCalls(envelope)
    async with Database(users_url, "test") as database:
        store = UserStore(database, Lists(database), Bell())
        add_UserServiceServicer_to_server(UsersServicer(store, SchemaStore(database), clock), inner)
        add_BatchServiceServicer_to_server(BatchServicer(inner), server)
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


# What their callers see of it.


class Counted:
    """A stub of the batch service that counts, and that can be broken."""

    def __init__(self, stub: BatchServiceStub) -> None:
        self.sizes: list[int] = []
        self.broken: StatusCode | None = None
        self._stub = stub

    async def Execute(self, request: pb.ExecuteRequest, **options: Any) -> Any:  # noqa: N802
        self.sizes.append(len(request.calls))
        if self.broken is not None:
            empty = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(self.broken, empty, empty, "broken")
        return await self._stub.Execute(request, **options)


@pytest.fixture
def counted(batch: BatchServiceStub) -> Counted:
    return Counted(batch)


def getter(counted: Counted, users: UserServiceStub, *, repeatable: bool = True) -> Callable:
    method = Coalescer(counted).method(
        GET, users.GetUser, users_pb2.GetUserResponse, repeatable=repeatable
    )

    async def call(user_id: str, seconds: float = 5.0) -> users_pb2.User:
        request = users_pb2.GetUserRequest(organization_id=ACME, user_id=user_id)
        return (await method(request, timeout=seconds, metadata=(("x-request-id", "1"),))).user

    return call


async def test_one_call_goes_alone(counted, users):
    ann = await create(users, "ann@corp.test")
    call = getter(counted, users)
    for _ in range(3):
        assert await call(ann.id) == ann
    assert counted.sizes == []


async def test_calls_at_once_go_together_and_each_gets_its_own_answer(counted, users):
    made = [await create(users, f"u{number}@corp.test") for number in range(60)]
    call = getter(counted, users)
    assert await asyncio.gather(*(call(user.id) for user in made)) == made
    assert sum(counted.sizes) == 60 - UNDER_WAY
    assert max(counted.sizes) <= MAX_CALLS
    assert len(counted.sizes) <= 4


async def test_who_is_refused_is_refused_alone_with_all_that_is_to_be_said(counted, users):
    ann = await create(users, "ann@corp.test")
    call = getter(counted, users)
    ids = [ann.id, ann.id, NOBODY, ann.id, "nonsense", ann.id]
    found = await asyncio.gather(*(call(each) for each in ids), return_exceptions=True)
    assert [each == ann for each in found] == [True, True, False, True, False, True]
    refusals = [from_rpc_error(found[2]), from_rpc_error(found[4])]
    assert [each.reason for each in refusals] == ["USER_NOT_FOUND", "INVALID_FIELD"]
    assert refusals[0].metadata == {"user_id": NOBODY}
    assert sum(counted.sizes) == 4


async def test_a_caller_who_gives_up_keeps_nobody_else_waiting(counted, users, db):
    ann, bob = [await create(users, f"{name}@corp.test") for name in ("ann", "bob")]
    call = getter(counted, users)
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        waiting = [asyncio.create_task(call(ann.id, seconds=10)) for _ in range(UNDER_WAY)]
        await asyncio.sleep(0.05)
        late = asyncio.create_task(call(bob.id, seconds=0.2))
        gone = asyncio.create_task(call(bob.id, seconds=10))
        patient = asyncio.create_task(call(bob.id, seconds=10))
        await asyncio.sleep(0.05)
        gone.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await late
        assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
    assert await asyncio.gather(*waiting) == [ann] * UNDER_WAY
    assert await patient == bob
    assert gone.cancelled() or await asyncio.wait([gone])
    assert counted.sizes == [1]


@pytest.mark.parametrize("code", [StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED])
async def test_reads_that_came_to_nothing_together_are_tried_alone_and_writes_are_not(
    counted, users, code
):
    ann = await create(users, "ann@corp.test")
    counted.broken = code
    reads, writes = getter(counted, users), getter(counted, users, repeatable=False)
    assert await asyncio.gather(*(reads(ann.id) for _ in range(5))) == [ann] * 5
    ended = await asyncio.gather(*(writes(ann.id) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, users_pb2.User) for each in ended) == UNDER_WAY
    assert {each.code() for each in ended if isinstance(each, grpc.aio.AioRpcError)} == {code}


async def test_with_a_server_of_an_earlier_release_calls_go_alone(counted, users):
    ann = await create(users, "ann@corp.test")
    counted.broken = StatusCode.UNIMPLEMENTED
    call = getter(counted, users, repeatable=False)
    assert await asyncio.gather(*(call(ann.id) for _ in range(9))) == [ann] * 9
    tried = len(counted.sizes)
    assert await asyncio.gather(*(call(ann.id) for _ in range(9))) == [ann] * 9
    assert len(counted.sizes) == tried
    assert APART_SECONDS > 1


async def test_writes_together_are_each_made_once(counted, users, db):
    method = Coalescer(counted).method(CREATE, users.CreateUser, users_pb2.CreateUserResponse)

    async def make(name: str) -> users_pb2.User:
        user = users_pb2.User(user_name=name)
        request = users_pb2.CreateUserRequest(organization_id=ACME, user=user)
        return (await method(request, timeout=5)).user

    names = [f"u{number % 20}@corp.test" for number in range(40)]
    ended = await asyncio.gather(*(make(name) for name in names), return_exceptions=True)
    made = [each for each in ended if isinstance(each, users_pb2.User)]
    assert len(made) == 20
    assert await db.fetchval("SELECT count(*) FROM users") == 20
    taken = {from_rpc_error(each).reason for each in ended if not isinstance(each, users_pb2.User)}
    assert taken == {"USER_NAME_TAKEN"}
    assert await update(users, made[0].id, title="Dr.")
