"""BatchStream: each call behaves as if it had its own stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
import structlog
from cloudacademy.batch.v1 import batch_pb2 as pb
from cloudacademy.batch.v1.batch_pb2_grpc import (
    BatchServiceStub,
    add_BatchServiceServicer_to_server,
)
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub, add_UserServiceServicer_to_server
from grpc import StatusCode
from structlog.testing import LogCapture

from chassis.batching.limits import STREAM_BATCH_SIZE, STREAM_LINGER_SECONDS, STREAM_MIN_CONCURRENCY
from chassis.concurrency.notifier import Notifier
from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable
from chassis.observability.metrics import Metrics
from chassis.rpc.interceptor import ServerInterceptor
from chassis.rpc.local_dispatcher import LocalDispatcher
from chassis.rpc.status import from_rpc_error
from gateway.backend.batching import dispatcher as client_dispatcher
from gateway.backend.batching.dispatcher import CALLS_PER_STREAM, MAX_STREAMS, BatchChannel
from tests.support.servers import listening
from tests.support.usersvc.user_calls import ACME, NOBODY, create, get, invalid_field
from tests.support.waiting import eventually, pace, quiescent
from usersvc.rpc.batching.servicer import BATCH_METHODS, BatchServicer
from usersvc.rpc.batching.stream import MAX_PENDING, BatchStream
from usersvc.rpc.users import UserServicer
from usersvc.store.listing.lists import Lists
from usersvc.store.schemas import SchemaStore
from usersvc.store.users.store import UserStore

SERVICE = "/cloudacademy.users.v1.UserService"
READS = frozenset({f"{SERVICE}/GetUser"})


@dataclass
class Harness:
    """A server with the batch service, and clients of it; a test can stop the server."""

    server: grpc.aio.Server
    channel: grpc.aio.Channel
    stop: asyncio.Event
    log_lines: list[Any]
    metrics: Metrics
    messages: list[pb.StreamCallsRequest] = field(default_factory=list)
    streams: list[Any] = field(default_factory=list)

    @property
    def users(self) -> UserServiceStub:
        """The service without batching."""
        return UserServiceStub(self.channel)

    @property
    def batch(self) -> BatchServiceStub:
        return BatchServiceStub(self.channel)

    def batched(self, linger_seconds: float = STREAM_LINGER_SECONDS) -> UserServiceStub:
        """The service with batched calls; the sizes of the messages are recorded."""
        return UserServiceStub(
            BatchChannel(self, self.channel, READS, linger_seconds=linger_seconds)
        )

    def StreamCalls(self) -> Any:  # noqa: N802 - the stub's name
        stream = self.batch.StreamCalls()
        write = stream.write

        async def recorded(message: pb.StreamCallsRequest) -> None:
            self.messages.append(message)
            stream.call_count += len(message.calls)
            await write(message)

        stream.write, stream.call_count = recorded, 0
        self.streams.append(stream)
        return stream

    @property
    def sizes(self) -> list[int]:
        return [len(message.calls) for message in self.messages if message.calls]


@pytest.fixture
async def harness(users_url: str, clock) -> AsyncIterator[Harness]:
    async with serving(users_url, clock) as running:
        yield running


@asynccontextmanager
async def serving(users_url: str, clock) -> AsyncIterator[Harness]:
    capture, stop = LogCapture(), asyncio.Event()
    log = structlog.wrap_logger(None, processors=[capture])
    metrics = Metrics()
    calls = metrics.requests(
        "call_seconds", "active_calls", "calls", "rpc_method", "status", "error_type"
    )
    interceptor = ServerInterceptor(
        log, None, calls, logged_fields=("organization_id",), batch_methods=BATCH_METHODS
    )
    server, dispatcher = grpc.aio.server(interceptors=[interceptor]), LocalDispatcher(interceptor)
    async with Database(users_url, "test") as database:
        store = UserStore(database, Lists(database), Notifier())
        users = UserServicer(store, SchemaStore(database), clock)
        add_UserServiceServicer_to_server(users, server)
        dispatcher.add(users_pb2.DESCRIPTOR.services_by_name["UserService"], users)
        add_BatchServiceServicer_to_server(BatchServicer(dispatcher, stop), server)
        async with (
            listening(server) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield Harness(server, channel, stop, capture.entries, metrics)


def get_call(number: int, user_id: str, **fields: Any) -> pb.Call:
    request = users_pb2.GetUserRequest(organization_id=ACME, user_id=user_id)
    defaults = {"method": f"{SERVICE}/GetUser", "request": request.SerializeToString()}
    return pb.Call(**{"number": number, "timeout_ms": 5_000, **defaults, **fields})


async def outcomes(stream: Any, count: int) -> dict[int, pb.Outcome]:
    """The next `count` outcomes of a stream, by call number."""
    found: dict[int, pb.Outcome] = {}
    while len(found) < count:
        response = await stream.read()
        assert response is not grpc.aio.EOF
        found |= {outcome.number: outcome for outcome in response.outcomes}
    return found


# The server's side.


async def test_each_call_has_its_own_outcome_under_its_number(harness: Harness):
    ann = await create(harness.users, "ann@corp.test")
    stream = harness.batch.StreamCalls()
    await stream.write(pb.StreamCallsRequest(calls=[get_call(7, ann.id), get_call(3, NOBODY)]))
    found = await outcomes(stream, 2)
    assert users_pb2.GetUserResponse.FromString(found[7].response).user == ann
    assert found[3].code == StatusCode.NOT_FOUND.value[0]
    await stream.write(
        pb.StreamCallsRequest(
            calls=[
                get_call(8, ann.id, method=f"{SERVICE}/Unknown"),
                get_call(9, ann.id, method="/cloudacademy.batch.v1.BatchService/StreamCalls"),
                get_call(10, ann.id, request=b"\xff"),
            ]
        )
    )
    codes = {number: each.code for number, each in (await outcomes(stream, 3)).items()}
    unknown = StatusCode.UNIMPLEMENTED.value[0]
    assert codes == {8: unknown, 9: unknown, 10: StatusCode.INVALID_ARGUMENT.value[0]}
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is StatusCode.OK
    assert {line["method"] for line in harness.log_lines} == {
        f"{SERVICE}/CreateUser",
        f"{SERVICE}/GetUser",
    }


async def test_batched_calls_are_logged_and_measured_but_not_their_stream(harness: Harness):
    ann = await create(harness.users, "ann@corp.test")
    stream = harness.batch.StreamCalls()
    await stream.write(pb.StreamCallsRequest(calls=[get_call(1, ann.id), get_call(2, ann.id)]))
    await outcomes(stream, 2)
    await stream.done_writing()
    assert await stream.code() is StatusCode.OK

    measured = harness.metrics.text().decode()
    labels = f'error_type="",rpc_method="{SERVICE[1:]}/GetUser",status="OK"'
    assert f"call_seconds_count{{{labels}}} 2.0" in measured
    assert "active_calls 0.0" in measured
    assert "StreamCalls" not in measured
    assert [line["method"] for line in harness.log_lines if line["event"] == "call"] == [
        f"{SERVICE}/CreateUser",
        *[f"{SERVICE}/GetUser"] * 2,
    ]


async def test_slow_call_does_not_delay_a_quick_one_and_meets_its_deadline(harness: Harness, db):
    ann, bob = [await create(harness.users, f"{name}@corp.test") for name in ("ann", "bob")]
    change = users_pb2.UpdateUserRequest(
        organization_id=ACME,
        user=users_pb2.User(id=ann.id, title="Dr."),
        update_mask={"paths": ["title"]},
    )
    slow = pb.Call(
        number=1,
        method=f"{SERVICE}/UpdateUser",
        request=change.SerializeToString(),
        timeout_ms=500,
    )
    stream = harness.batch.StreamCalls()
    async with db.transaction():
        await db.execute("SELECT FROM users WHERE user_name = 'ann@corp.test' FOR UPDATE")
        await stream.write(pb.StreamCallsRequest(calls=[slow, get_call(2, bob.id)]))
        assert list(await outcomes(stream, 1)) == [2]
        expired = (await outcomes(stream, 1))[1]
    assert expired.code == StatusCode.DEADLINE_EXCEEDED.value[0]
    assert (await get(harness.users, ann.id)).title == ""


async def test_cancelled_call_ends_without_an_outcome(harness: Harness, db):
    ann = await create(harness.users, "ann@corp.test")
    stream = harness.batch.StreamCalls()
    async with blocked_call(db, stream, get_call(1, ann.id)):
        await stream.write(pb.StreamCallsRequest(given_up=[1, 99]))
        await wait_for_lock_waiters(db, 0)
    await stream.write(pb.StreamCallsRequest(calls=[get_call(2, ann.id)]))
    assert list(await outcomes(stream, 1)) == [2]
    assert [line["outcome"] for line in harness.log_lines][1:] == ["CANCELLED", "OK"]


async def test_calls_are_cancelled_when_their_stream_ends(harness: Harness, db):
    ann = await create(harness.users, "ann@corp.test")
    stream = harness.batch.StreamCalls()
    async with blocked_call(db, stream, get_call(1, ann.id)):
        stream.cancel()
        await wait_for_lock_waiters(db, 0)


async def test_call_number_in_use_ends_the_stream_with_a_reason(harness: Harness, db):
    ann = await create(harness.users, "ann@corp.test")
    stream = harness.batch.StreamCalls()
    with invalid_field("calls.number"):
        await stream.write(pb.StreamCallsRequest(calls=[get_call(1, ann.id), get_call(1, ann.id)]))
        while await stream.read() is not grpc.aio.EOF:
            pass


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("calls", pb.StreamCallsRequest(calls=[pb.Call(number=n) for n in range(MAX_PENDING + 1)])),
        ("given_up", pb.StreamCallsRequest(given_up=range(MAX_PENDING + 1))),
    ],
)
async def test_message_with_too_many_calls_is_refused_before_any_starts(
    harness: Harness, field: str, message: pb.StreamCallsRequest
):
    stream = harness.batch.StreamCalls()
    with invalid_field(field):
        await stream.write(message)
        while await stream.read() is not grpc.aio.EOF:
            pass
    assert [line["outcome"] for line in harness.log_lines] == ["INVALID_FIELD"]


async def test_server_stops_reading_from_a_client_that_does_not_read(harness: Harness, db):
    ann = await create(harness.users, "ann@corp.test", title="x" * 8_000)
    stream = harness.batch.StreamCalls()
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            calls = [get_call(sent + n, ann.id) for n in range(100)]
            await stream.write(pb.StreamCallsRequest(calls=calls))
            sent += 100

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send(), 5)
    ended_calls = len(harness.log_lines)
    assert await quiescent(lambda: len(harness.log_lines)) == ended_calls
    assert ended_calls <= sent
    assert await get(harness.users, ann.id) == ann  # other clients are served
    stream.cancel()


async def test_stopping_server_announces_it_and_completes_its_calls(harness: Harness, db):
    ann = await create(harness.users, "ann@corp.test")
    stream = harness.batch.StreamCalls()
    async with blocked_call(db, stream, get_call(1, ann.id)):
        harness.stop.set()
        assert (await stream.read()) == pb.StreamCallsResponse(leaving=True)
        await stream.done_writing()
    assert list(await outcomes(stream, 1)) == [1]
    assert await stream.read() is grpc.aio.EOF


@asynccontextmanager
async def blocked_call(db, stream: Any, call: pb.Call) -> AsyncIterator[None]:
    """Send a call, and block its statement until the block ends."""
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        await stream.write(pb.StreamCallsRequest(calls=[call]))
        await wait_for_lock_waiters(db, 1)
        yield


async def wait_for_lock_waiters(db, count: int) -> None:
    """Wait until at least `count` statements wait for a lock, or for 0, until none does."""

    async def has_count() -> bool:
        found = await db.fetchval(
            # Not pg_stat_activity: inside a transaction it omits backends that started later.
            "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_database ON oid = database"
            " WHERE NOT granted AND datname = current_database()"
        )
        return found >= count if count else found == 0

    await eventually(has_count)


# The client's side.


def get_user_by(stub: UserServiceStub) -> Callable[..., Awaitable[users_pb2.User]]:
    async def call(user_id: str, seconds: float = 5.0) -> users_pb2.User:
        request = users_pb2.GetUserRequest(organization_id=ACME, user_id=user_id)
        defaults = {"timeout": seconds, "metadata": (("x-request-id", "1"),)}
        return (await stub.GetUser(request, **defaults)).user

    return call


async def test_batch_channel_carries_streaming_calls_too(harness: Harness):
    ann = await create(harness.users, "ann@corp.test")
    channel = BatchChannel(harness, harness.channel)
    assert isinstance(channel, grpc.aio.Channel)
    await channel.channel_ready()
    assert channel.get_state() is grpc.ChannelConnectivity.READY
    stream = BatchServiceStub(channel).StreamCalls()
    await stream.write(pb.StreamCallsRequest(calls=[get_call(1, ann.id)]))
    assert list(await outcomes(stream, 1)) == [1]
    stream.cancel()


async def test_closed_batch_channel_ends_its_streams_after_their_calls(harness: Harness, db):
    ann = await create(harness.users, "ann@corp.test")
    channel = BatchChannel(harness, harness.channel)
    call = get_user_by(UserServiceStub(channel))
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        pending = asyncio.create_task(call(ann.id))
        await wait_for_lock_waiters(db, 1)
        await channel.close()
    assert await pending == ann
    assert await harness.streams[0].code() is StatusCode.OK


async def test_concurrent_calls_share_messages_and_get_own_responses(harness: Harness):
    created = [await create(harness.users, f"u{number}@corp.test") for number in range(60)]
    call = get_user_by(harness.batched())
    assert await asyncio.gather(*(call(user.id) for user in created)) == created
    assert sum(harness.sizes) == 60
    assert len(harness.streams) == 2
    assert max(harness.sizes) <= STREAM_BATCH_SIZE
    assert len(harness.sizes) < 60 / STREAM_MIN_CONCURRENCY


async def test_many_concurrent_calls_use_several_streams_and_few_use_one(harness: Harness, db):
    created = [await create(harness.users, f"u{number}@corp.test") for number in range(10)]
    call = get_user_by(harness.batched())

    async def calls_per_stream(number: int) -> list[int]:
        """The number of calls on each stream while `number` calls wait for a locked table."""
        before = len(harness.messages)
        async with db.transaction():
            await db.execute("LOCK TABLE users")
            calls = [asyncio.create_task(call(created[each % 10].id)) for each in range(number)]
            await quiescent(lambda: sum(len(each.calls) for each in harness.messages[before:]), 0.1)
        await asyncio.gather(*calls)
        assert sum(len(each.calls) for each in harness.messages[before:]) == number
        return [stream.call_count for stream in harness.streams]

    full, others = CALLS_PER_STREAM, MAX_STREAMS - 1
    assert await calls_per_stream(full) == [full]
    assert await calls_per_stream(MAX_STREAMS * full + 8) == [2 * full + 2, *[full + 2] * others]
    assert await calls_per_stream(2) == [2 * full + 4, *[full + 2] * others]


async def test_calls_beyond_a_full_stream_linger_and_share_a_message(harness: Harness, db):
    """The second stream has few calls, but the service has many: more calls will join the batch."""
    ann = await create(harness.users, "ann@corp.test")
    call = get_user_by(harness.batched(linger_seconds=0.5))
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        first = [asyncio.create_task(call(ann.id)) for _ in range(CALLS_PER_STREAM)]
        await wait_for_lock_waiters(db, 1)
        more = [asyncio.create_task(call(ann.id))]
        await pace(0.01)  # within the linger time
        for read in first[:10]:  # the first stream has capacity again
            read.cancel()
        for _ in range(4):
            await pace(0.01)  # within the linger time
            more.append(asyncio.create_task(call(ann.id)))
        await pace(0.6)
    assert await asyncio.gather(*first[10:], *more) == [ann] * (CALLS_PER_STREAM - 10 + 5)
    assert harness.sizes == [CALLS_PER_STREAM, 5]
    assert [stream.call_count for stream in harness.streams] == [CALLS_PER_STREAM, 5]


async def test_blocked_stream_gets_no_more_than_calls_per_stream(harness: Harness):
    """Its unsent calls wait for the stream, and do not linger."""
    ann = await create(harness.users, "ann@corp.test")
    channel = BatchChannel(harness, harness.channel, READS)
    call = get_user_by(UserServiceStub(channel))
    assert await call(ann.id) == ann
    (slow,), writable = harness.streams, asyncio.Event()
    write = slow.write

    async def blocked_write(message: pb.StreamCallsRequest) -> None:
        await writable.wait()
        await write(message)

    slow.write = blocked_write
    calls = []
    for _ in range(CALLS_PER_STREAM + 8):
        calls.append(asyncio.create_task(call(ann.id)))
        await pace(0.001)
    assert channel._streams[0].pending == CALLS_PER_STREAM
    assert len(harness.streams) == 2
    writable.set()
    assert await asyncio.gather(*calls) == [ann] * len(calls)


async def test_failed_call_has_its_own_status_and_details(harness: Harness):
    ann = await create(harness.users, "ann@corp.test")
    call = get_user_by(harness.batched())
    ids = [ann.id, NOBODY, ann.id, "nonsense", ann.id]
    found = await asyncio.gather(*(call(each) for each in ids), return_exceptions=True)
    assert [each == ann for each in found] == [True, False, True, False, True]
    refusals = [from_rpc_error(found[1]), from_rpc_error(found[3])]
    assert [each.reason for each in refusals] == ["USER_NOT_FOUND", "INVALID_FIELD"]
    assert refusals[0].metadata == {"user_id": NOBODY}


async def test_cancelled_calls_delay_no_others_and_are_reported(harness: Harness, db):
    ann, bob = [await create(harness.users, f"{name}@corp.test") for name in ("ann", "bob")]
    call = get_user_by(harness.batched())
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        expiring = asyncio.create_task(call(bob.id, seconds=0.3))
        cancelled = asyncio.create_task(call(bob.id))
        remaining = asyncio.create_task(call(ann.id))
        await wait_for_lock_waiters(db, 1)
        cancelled.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await expiring
        assert caught.value.code() is StatusCode.DEADLINE_EXCEEDED
    assert await remaining == ann
    assert sorted(n for message in harness.messages for n in message.given_up) == [1, 2]


async def test_lost_stream_retries_reads_and_not_writes(harness: Harness, db):
    ann = await create(harness.users, "ann@corp.test")
    stub = harness.batched()
    call = get_user_by(stub)
    rename = users_pb2.UpdateUserRequest(
        organization_id=ACME, user={"id": ann.id, "title": "Dr."}, update_mask={"paths": ["title"]}
    )
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        reads = [asyncio.create_task(call(ann.id)) for _ in range(3)]
        write = asyncio.create_task(stub.UpdateUser(rename, timeout=5))
        await wait_for_lock_waiters(db, 2)
        harness.streams[0].cancel()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await write
    assert caught.value.code() is StatusCode.UNAVAILABLE
    assert await asyncio.gather(*reads) == [ann] * 3
    assert await call(ann.id) == ann
    assert len(harness.streams) == 2


async def test_silent_server_gets_no_further_calls(harness: Harness, db):
    ann = await create(harness.users, "ann@corp.test")
    call = get_user_by(harness.batched())
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        first = asyncio.create_task(call(ann.id))
        await pace(client_dispatcher.MAX_SILENCE_SECONDS + 0.1)  # the time limit passes
        second = asyncio.create_task(call(ann.id))
        await eventually(lambda: len(harness.streams) == 2)
    assert await asyncio.gather(first, second) == [ann, ann]


async def test_replacement_of_streams_loses_no_call(harness: Harness, monkeypatch):
    monkeypatch.setattr(client_dispatcher, "LIFETIME_SECONDS", 0.05)
    ann = await create(harness.users, "ann@corp.test")
    call = get_user_by(harness.batched())

    async def read_repeatedly() -> None:
        for _ in range(100):
            assert await call(ann.id) == ann

    await asyncio.gather(*(read_repeatedly() for _ in range(8)))
    assert len(harness.streams) > 2
    for stream in harness.streams[:-1]:
        assert await stream.code() is StatusCode.OK


async def test_server_that_announces_shutdown_gets_no_further_calls(harness: Harness):
    ann = await create(harness.users, "ann@corp.test")
    call = get_user_by(harness.batched())
    assert await call(ann.id) == ann
    harness.stop.set()
    assert await harness.streams[0].code() is StatusCode.OK
    assert await call(ann.id) == ann  # the server still accepts calls on another stream
    assert len(harness.streams) == 2


async def test_batched_writes_run_once_each(harness: Harness, db):
    stub = harness.batched()

    async def create_named(name: str) -> users_pb2.User:
        user = users_pb2.User(user_name=name)
        request = users_pb2.CreateUserRequest(organization_id=ACME, user=user)
        return (await stub.CreateUser(request, timeout=5)).user

    names = [f"u{number % 20}@corp.test" for number in range(40)]
    results = await asyncio.gather(*(create_named(name) for name in names), return_exceptions=True)
    assert sum(isinstance(each, users_pb2.User) for each in results) == 20
    assert await db.fetchval("SELECT count(*) FROM users") == 20
    assert {from_rpc_error(each).reason for each in results if isinstance(each, Exception)} == {
        "USER_NAME_TAKEN"
    }


async def test_large_requests_are_not_batched_with_small_ones(harness: Harness):
    stub = harness.batched()

    async def create_named(name: str, title: str) -> str:
        user = users_pb2.User(user_name=name, title=title)
        request = users_pb2.CreateUserRequest(organization_id=ACME, user=user)
        try:
            return (await stub.CreateUser(request, timeout=10)).user.user_name
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error).reason

    large = [create_named(f"large{number}@corp.test", "x" * 1_000_000) for number in range(20)]
    small = [create_named(f"small{number}@corp.test", "Dr.") for number in range(5)]
    results = await asyncio.gather(*large, *small)
    assert results[:20] == ["INVALID_FIELD"] * 20
    assert results[20:] == [f"small{number}@corp.test" for number in range(5)]


async def test_call_cancelled_before_it_is_sent_is_never_sent(harness: Harness):
    stub = harness.batched()

    async def create_named(number: int) -> None:
        user = users_pb2.User(user_name=f"u{number}@corp.test")
        request = users_pb2.CreateUserRequest(organization_id=ACME, user=user)
        await stub.CreateUser(request, timeout=0.3)

    released = asyncio.Event()
    stream_calls = harness.StreamCalls

    def open_blocked_stream() -> Any:
        stream = stream_calls()
        write = stream.write

        async def blocked_write(message: pb.StreamCallsRequest) -> None:
            await released.wait()
            await write(message)

        stream.write = blocked_write
        return stream

    harness.StreamCalls = open_blocked_stream
    errors = await asyncio.gather(*(create_named(n) for n in range(400)), return_exceptions=True)
    assert {each.code() for each in errors} == {StatusCode.DEADLINE_EXCEEDED}
    released.set()
    last = users_pb2.CreateUserRequest(organization_id=ACME, user={"user_name": "last@corp.test"})
    await stub.CreateUser(last, timeout=5)  # the stream sends its earlier messages first
    # At most the messages that were being written, and the last call.
    assert sum(harness.sizes) <= MAX_STREAMS * STREAM_BATCH_SIZE + 1


async def test_read_refused_by_a_replica_is_retried(harness: Harness, monkeypatch):
    ann = await create(harness.users, "ann@corp.test")
    original_get, failed = UserStore.get, []

    async def fails_once(store: UserStore, *arguments: Any, **options: Any) -> Any:
        if not failed:
            failed.append(True)
            raise DatabaseUnavailable
        return await original_get(store, *arguments, **options)

    monkeypatch.setattr(UserStore, "get", fails_once)
    assert await get_user_by(harness.batched())(ann.id) == ann
    assert len(harness.log_lines) == 3


async def test_call_that_expires_before_it_starts_is_deadline_exceeded():
    dispatcher = LocalDispatcher(
        ServerInterceptor(structlog.wrap_logger(None, processors=[LogCapture()]))
    )
    stream = BatchStream(dispatcher, None)
    stream._begin(get_call(1, NOBODY))
    stream._expire(1)
    for _ in range(3):
        await asyncio.sleep(0)
    assert stream._running == {}
    assert [each.code for each in stream._outcomes] == [StatusCode.DEADLINE_EXCEEDED.value[0]]


async def test_shared_read_is_cancelled_with_its_last_caller(harness: Harness, db):
    ann = await create(harness.users, "ann@corp.test")
    stream = harness.batch.StreamCalls()
    async with db.transaction():
        await db.execute("LOCK TABLE users")
        await stream.write(pb.StreamCallsRequest(calls=[get_call(n, ann.id) for n in range(4)]))
        await wait_for_lock_waiters(db, 2)
        await stream.write(pb.StreamCallsRequest(given_up=range(4)))
        await wait_for_lock_waiters(db, 0)
