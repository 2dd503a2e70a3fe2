"""Each batched call is logged and authorized separately."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import structlog
from cloudacademy.batch.v1 import batch_pb2 as pb
from cloudacademy.batch.v1.batch_pb2_grpc import (
    BatchServiceStub,
    add_BatchServiceServicer_to_server,
)
from cloudacademy.users.v1 import sessions_pb2, users_pb2
from grpc import StatusCode
from structlog.testing import LogCapture

from chassis.concurrency.notifier import Notifier
from chassis.database.pool import Database
from chassis.rpc.interceptor import ServerInterceptor
from chassis.rpc.local_dispatcher import LocalDispatcher
from tests.support.servers import listening
from tests.support.usersvc.serving import usersvc_process
from tests.support.usersvc.user_calls import ACME, GLOBEX, NOBODY
from usersvc.rpc.batching.servicer import BATCH_METHODS, BatchServicer
from usersvc.rpc.users import UserServicer
from usersvc.store.listing.lists import Lists
from usersvc.store.schemas import SchemaStore
from usersvc.store.users.store import UserStore

GET = "/cloudacademy.users.v1.UserService/GetUser"


def get_user_call(number: int, organization_id: str = ACME, **fields: Any) -> pb.Call:
    request = users_pb2.GetUserRequest(organization_id=organization_id, user_id=NOBODY)
    defaults = {"method": GET, "request": request.SerializeToString(), "timeout_ms": 5_000}
    return pb.Call(**{"number": number, **defaults, **fields})


async def outcomes(channel: grpc.aio.Channel, *calls: pb.Call) -> Sequence[pb.Outcome]:
    """The outcomes of calls that share a message, in the order of their numbers."""
    stream = BatchServiceStub(channel).StreamCalls()
    await stream.write(pb.StreamCallsRequest(calls=calls))
    await stream.done_writing()
    received = [outcome async for response in stream for outcome in response.outcomes]
    return sorted(received, key=lambda outcome: outcome.number)


async def test_each_batched_call_has_a_log_entry_and_the_stream_has_none(users_url, clock):
    capture = LogCapture()
    interceptor = ServerInterceptor(
        structlog.wrap_logger(None, processors=[capture]),
        logged_fields=("organization_id",),
        batch_methods=BATCH_METHODS,
    )
    server, dispatcher = grpc.aio.server(interceptors=[interceptor]), LocalDispatcher(interceptor)
    async with Database(users_url, "test") as database:
        store = UserStore(database, Lists(database), Notifier())
        users = UserServicer(store, SchemaStore(database), clock)
        dispatcher.add(users_pb2.DESCRIPTOR.services_by_name["UserService"], users)
        add_BatchServiceServicer_to_server(BatchServicer(dispatcher, asyncio.Event()), server)
        async with (
            listening(server) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            calls = [
                get_user_call(number, organization, metadata={"x-request-id": organization[-1]})
                for number, organization in enumerate((ACME, GLOBEX))
            ]
            await outcomes(channel, *calls)

    logged = [
        (line["method"], line["request_id"], line["organization_id"]) for line in capture.entries
    ]
    assert sorted(logged) == [(GET, ACME[-1], ACME), (GET, GLOBEX[-1], GLOBEX)]


async def test_each_batched_call_is_authorized_separately(users_url, tmp_path):
    link = sessions_pb2.CreateSignInLinkRequest(organization_id=ACME, user_id=NOBODY)
    forbidden = pb.Call(
        number=1,
        method="/cloudacademy.users.v1.SessionService/CreateSignInLink",
        request=link.SerializeToString(),
        timeout_ms=1_000,
    )
    with usersvc_process(users_url, tmp_path) as service:
        async with service.channel("billing") as channel:
            # Without a write, which would race with the status of the refused stream.
            code = await BatchServiceStub(channel).StreamCalls().code()
            assert code is StatusCode.PERMISSION_DENIED
        async with service.channel("gateway") as channel:
            found = await outcomes(channel, forbidden, get_user_call(2))
    assert [each.code for each in found] == [
        StatusCode.UNIMPLEMENTED.value[0],
        StatusCode.NOT_FOUND.value[0],
    ]
