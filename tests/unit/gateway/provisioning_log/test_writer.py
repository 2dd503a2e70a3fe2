"""What becomes of a refusal on its way to the log, with a server that can be away or picky."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import grpc
import pytest
import structlog
from cloudacademy.users.v1 import activity_pb2 as pb
from cloudacademy.users.v1.activity_pb2_grpc import (
    ActivityServiceServicer,
    ActivityServiceStub,
    add_ActivityServiceServicer_to_server,
)

from gateway.api.app import ANONYMOUS
from gateway.auth.authenticator import Caller
from gateway.backend.errors import Refusal, RefusedError
from gateway.provisioning_log.entry import RejectedRequest
from gateway.provisioning_log.writer import (
    BATCH_ENTRIES,
    MAX_ATTEMPTS,
    MAX_QUEUED_BYTES,
    MAX_QUEUED_ENTRIES,
    MAX_REMEMBERED_KEYS,
    RefusalLog,
)
from gateway.scim.errors import ScimError
from tests.support.servers import listening

ACME = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"
GLOBEX = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e14"
KEY = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e13"
PICKED_OUT = "never"


class Log(ActivityServiceServicer):
    """Keeps what it is sent, but for one request id; or says that it is away."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.report_ids: list[list[str]] = []
        self.away = False
        self.late = False

    @property
    def kept(self) -> list[str]:
        return [each for batch in self.batches for each in batch]

    async def RecordRefusals(self, request, context):  # noqa: N802
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        ids = [each.request_id for each in request.activities]
        if PICKED_OUT in ids:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        self.batches.append(ids)
        self.report_ids.append([each.report_id for each in request.activities])
        if self.late:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "kept, and too late to say so")
        return pb.RecordRefusalsResponse()


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def running(server_log: Log, clock: Clock) -> AsyncIterator[RefusalLog]:
    server = grpc.aio.server()
    add_ActivityServiceServicer_to_server(server_log, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        log = structlog.wrap_logger(structlog.ReturnLogger())
        refusals = RefusalLog(ActivityServiceStub(channel), clock, log)
        yield refusals


def refused(request_id: str, **fields: object) -> RejectedRequest:
    given = {
        "caller": Caller(ACME, KEY),
        "request_id": request_id,
        "method": "POST",
        "target": "/Users",
        "endpoint": "Users",
        "resource_id": "",
        "body": b"{}",
        "client_address": "192.0.2.1",
        "error": ScimError(400, None, "No."),
    }
    return RejectedRequest(**(given | fields))


def ended(key_id: str) -> RefusedError:
    """The refusal of a key that has ended."""
    whose = {"organization_id": ACME, "key_id": key_id}
    return Refusal(401, None, "It has ended.", {}, "KEY_EXPIRED", whose).error()


async def sent(refusals: RefusalLog) -> None:
    """All that is noted is sent, as at the end of a process."""
    stop = asyncio.Event()
    stop.set()
    await refusals.write(stop)


async def test_refusals_are_sent_in_batches_in_order():
    server_log = Log()
    async with running(server_log, Clock()) as refusals:
        for number in range(BATCH_ENTRIES + 5):
            refusals.record(refused(str(number)))
        await sent(refusals)
    assert server_log.kept == [str(number) for number in range(BATCH_ENTRIES + 5)]
    assert [len(batch) for batch in server_log.batches] == [BATCH_ENTRIES, 5]


async def test_unsent_refusals_are_sent_once_usersvc_is_available():
    server_log = Log()
    server_log.away = True
    async with running(server_log, Clock()) as refusals:
        for number in range(3):
            refusals.record(refused(str(number)))
        await sent(refusals)
        assert server_log.kept == []
        server_log.away = False
        refusals.record(refused("3"))
        await sent(refusals)
        assert refusals.dropped == 0
    assert server_log.kept == ["0", "1", "2", "3"]


async def test_refusal_that_is_sent_again_keeps_its_report_id():
    server_log = Log()
    server_log.late = True
    async with running(server_log, Clock()) as refusals:
        for _ in range(2):
            refusals.record(refused("of one bulk request"))
        await sent(refusals)
        server_log.late = False
        await sent(refusals)
    first, again = server_log.report_ids
    assert first == again
    assert len({UUID(each) for each in first}) == 2


async def test_refusal_that_usersvc_rejects_is_dropped_alone():
    server_log = Log()
    async with running(server_log, Clock()) as refusals:
        for each in ("a", PICKED_OUT, "b"):
            refusals.record(refused(each))
        await sent(refusals)
        assert refusals.dropped == 1
    assert server_log.kept == ["a", "b"]


async def test_one_organization_fills_at_most_half_of_the_queue():
    async with running(Log(), Clock()) as refusals:
        for number in range(MAX_QUEUED_ENTRIES // 2 + 7):
            refusals.record(refused(str(number)))
        assert refusals.dropped == 7


def of(organization_id: str, request_id: str, **fields: object) -> RejectedRequest:
    return refused(request_id, caller=Caller(organization_id, KEY), **fields)


async def test_flood_of_one_organization_does_not_delay_or_drop_others():
    server_log = Log()
    async with running(server_log, Clock()) as refusals:
        for number in range(3 * MAX_QUEUED_ENTRIES):
            refusals.record(of(ACME, f"greedy {number}"))
        modest = [f"modest {number}" for number in range(BATCH_ENTRIES // 2)]
        for each in modest:
            refusals.record(of(GLOBEX, each))
        await sent(refusals)
        assert refusals.dropped == 3 * MAX_QUEUED_ENTRIES - MAX_QUEUED_ENTRIES // 2
    assert server_log.batches[0][1::2] == modest
    assert len(server_log.kept) == MAX_QUEUED_ENTRIES // 2 + len(modest)


async def test_full_queue_drops_the_newest_of_the_largest_organization():
    server_log = Log()
    async with running(server_log, Clock()) as refusals:
        for number in range(MAX_QUEUED_ENTRIES // 2):
            for name in ("first", "second"):
                refusals.record(of(name, f"{name} {number}"))
        for number in range(10):
            refusals.record(of(GLOBEX, f"modest {number}"))
        await sent(refusals)
        assert refusals.dropped == 10
    last = MAX_QUEUED_ENTRIES // 2 - 1
    kept = set(server_log.kept)
    assert {f"modest {number}" for number in range(10)} <= kept
    assert kept >= {"first 0", "second 0"}
    assert not kept & {f"first {last}", f"second {last}", f"second {last - 4}"}


async def test_queued_entries_are_limited_in_bytes():
    server_log = Log()
    server_log.away = True
    body = "\N{GRINNING FACE}".encode() * 4_096
    async with running(server_log, Clock()) as refusals:
        for number in range(MAX_QUEUED_ENTRIES // 2):
            for name in ("first", "second", "third"):
                refusals.record(of(name, str(number), body=body))
        refusals.record(of(GLOBEX, "modest", body=body))
        await sent(refusals)  # nobody takes a batch, and what was taken waits again
        waiting = 3 * MAX_QUEUED_ENTRIES // 2 + 1 - refusals.dropped
        server_log.away = False
        await sent(refusals)
    assert len(server_log.kept) == waiting
    assert "modest" in server_log.batches[0]
    assert MAX_QUEUED_BYTES * 0.99 < waiting * len(body) < MAX_QUEUED_BYTES


@pytest.mark.parametrize("fields", [{"method": "GET"}, {"caller": ANONYMOUS}])
async def test_reads_and_unauthenticated_requests_are_not_recorded(fields: dict):
    server_log = Log()
    async with running(server_log, Clock()) as refusals:
        refusals.record(refused("1", **fields))
        await sent(refusals)
    assert server_log.kept == []


async def test_unusable_key_is_recorded_once_a_minute():
    server_log, clock = Log(), Clock()
    fields = {"method": "GET", "error": ended(KEY), "target": "/Users?filter=ann"}
    async with running(server_log, clock) as refusals:
        for number in range(3):
            refusals.record(refused(str(number), caller=ANONYMOUS, **fields))
        clock.now += timedelta(seconds=61)
        refusals.record(refused("later", caller=ANONYMOUS, **fields))
        await sent(refusals)
    assert server_log.kept == ["0", "later"]


async def test_least_recently_recorded_key_is_forgotten_over_the_limit():
    clock = Clock()
    async with running(Log(), clock) as refusals:

        def note(number: int) -> int:
            """How many more are noted by a request with a key."""
            before = refusals._queue.length + refusals.dropped
            refusals.record(refused("1", caller=ANONYMOUS, error=ended(f"key {number}")))
            return refusals._queue.length + refusals.dropped - before

        first = [note(number) for number in range(MAX_REMEMBERED_KEYS + 1)]
        again = [note(number) for number in (MAX_REMEMBERED_KEYS, 1, 0)]

    assert first == [1] * (MAX_REMEMBERED_KEYS + 1)
    assert again == [0, 0, 1]


class Unserializable:
    """What gRPC cannot send, in place of a refusal's activity."""

    organization_id = ACME
    report_id = "report"

    def ByteSize(self) -> int:  # noqa: N802 - as messages have it
        return 1


async def passes(refusals: RefusalLog) -> int:
    """Send all, as a task that is started anew after each error; how many there were."""
    errors = 0
    while True:
        try:
            await sent(refusals)
        except TypeError:
            errors += 1
        else:
            return errors


async def test_unserializable_refusal_is_dropped_and_others_are_stored():
    server_log = Log()
    async with running(server_log, Clock()) as refusals:
        for number in range(3):
            refusals.record(refused(str(number)))
        refusals._queue.put(ACME, Unserializable(), 1)
        refusals.record(refused("3"))
        errors = await passes(refusals)
        assert refusals.dropped == 1
        assert refusals._queue.length == 0
    assert errors == MAX_ATTEMPTS - 1
    assert list(dict.fromkeys(server_log.kept)) == ["0", "1", "2", "3"]


async def test_batch_of_a_cancelled_task_is_queued_again():
    server_log = Log()
    async with running(server_log, Clock()) as refusals:
        for number in range(3):
            refusals.record(refused(str(number)))
        task = asyncio.create_task(sent(refusals))
        await asyncio.sleep(0)
        assert refusals._queue.length == 0
        task.cancel()
        await asyncio.wait([task])
        assert (refusals._queue.length, refusals.dropped) == (3, 0)
        await sent(refusals)
    assert set(server_log.kept) == {"0", "1", "2"}
