"""The refusal log: batches, retries, fair shares of the queue, and dropped entries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from gateway.backend.errors import BackendRefusal, RefusedError
from gateway.provisioning_log.entry import RefusedRequest
from gateway.provisioning_log.writer import (
    BATCH_ENTRIES,
    MAX_ATTEMPTS,
    MAX_QUEUED_BYTES,
    MAX_QUEUED_ENTRIES,
    MAX_REMEMBERED_KEYS,
    RefusalLog,
)
from gateway.scim.errors import ScimError
from tests.support.clocks import StoppedClock
from tests.support.servers import listening

ACME = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"
GLOBEX = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e14"
KEY = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e13"
INVALID_ID = "invalid"


class LogService(ActivityServiceServicer):
    """Stores the request ids of refusals; it refuses INVALID_ID, and can be unavailable or late."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.report_ids: list[list[str]] = []
        self.is_unavailable = False
        self.is_late = False

    @property
    def stored(self) -> list[str]:
        return [each for batch in self.batches for each in batch]

    async def RecordRefusals(self, request, context):  # noqa: N802 - the contract's name
        if self.is_unavailable:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "unavailable")
        ids = [each.request_id for each in request.activities]
        if INVALID_ID in ids:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "invalid")
        self.batches.append(ids)
        self.report_ids.append([each.report_id for each in request.activities])
        if self.is_late:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "stored, but too late")
        return pb.RecordRefusalsResponse()


@asynccontextmanager
async def running(service: LogService, clock: StoppedClock) -> AsyncIterator[RefusalLog]:
    server = grpc.aio.server()
    add_ActivityServiceServicer_to_server(service, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        log = structlog.wrap_logger(structlog.ReturnLogger())
        refusals = RefusalLog(ActivityServiceStub(channel), clock, log)
        yield refusals


def refused(request_id: str, **fields: object) -> RefusedRequest:
    defaults = {
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
    return RefusedRequest(**(defaults | fields))


def expired_key(key_id: str) -> RefusedError:
    """The refusal of an expired key."""
    metadata = {"organization_id": ACME, "key_id": key_id}
    return BackendRefusal(401, None, "It has expired.", {}, "KEY_EXPIRED", metadata).error()


async def flush(refusals: RefusalLog) -> None:
    """Send all queued entries, as at the end of a process."""
    stop = asyncio.Event()
    stop.set()
    await refusals.write(stop)


async def test_refusals_are_sent_in_batches_in_order():
    service = LogService()
    async with running(service, StoppedClock()) as refusals:
        for number in range(BATCH_ENTRIES + 5):
            refusals.record(refused(str(number)))
        await flush(refusals)
    assert service.stored == [str(number) for number in range(BATCH_ENTRIES + 5)]
    assert [len(batch) for batch in service.batches] == [BATCH_ENTRIES, 5]


async def test_unsent_refusals_are_sent_once_usersvc_is_available():
    service = LogService()
    service.is_unavailable = True
    async with running(service, StoppedClock()) as refusals:
        for number in range(3):
            refusals.record(refused(str(number)))
        await flush(refusals)
        assert service.stored == []
        service.is_unavailable = False
        refusals.record(refused("3"))
        await flush(refusals)
        assert refusals.dropped == 0
    assert service.stored == ["0", "1", "2", "3"]


async def test_refusal_that_is_sent_again_keeps_its_report_id():
    service = LogService()
    service.is_late = True
    async with running(service, StoppedClock()) as refusals:
        for _ in range(2):
            refusals.record(refused("of one bulk request"))
        await flush(refusals)
        service.is_late = False
        await flush(refusals)
    first, again = service.report_ids
    assert first == again
    assert len({UUID(each) for each in first}) == 2


async def test_refusal_that_usersvc_rejects_is_dropped_alone():
    service = LogService()
    async with running(service, StoppedClock()) as refusals:
        for each in ("a", INVALID_ID, "b"):
            refusals.record(refused(each))
        await flush(refusals)
        assert refusals.dropped == 1
    assert service.stored == ["a", "b"]


async def test_one_organization_fills_at_most_half_of_the_queue():
    async with running(LogService(), StoppedClock()) as refusals:
        for number in range(MAX_QUEUED_ENTRIES // 2 + 7):
            refusals.record(refused(str(number)))
        assert refusals.dropped == 7


def of_organization(organization_id: str, request_id: str, **fields: object) -> RefusedRequest:
    return refused(request_id, caller=Caller(organization_id, KEY), **fields)


async def test_flood_of_one_organization_does_not_delay_or_drop_others():
    service = LogService()
    async with running(service, StoppedClock()) as refusals:
        for number in range(3 * MAX_QUEUED_ENTRIES):
            refusals.record(of_organization(ACME, f"greedy {number}"))
        modest = [f"modest {number}" for number in range(BATCH_ENTRIES // 2)]
        for each in modest:
            refusals.record(of_organization(GLOBEX, each))
        await flush(refusals)
        assert refusals.dropped == 3 * MAX_QUEUED_ENTRIES - MAX_QUEUED_ENTRIES // 2
    assert service.batches[0][1::2] == modest
    assert len(service.stored) == MAX_QUEUED_ENTRIES // 2 + len(modest)


async def test_full_queue_drops_the_newest_of_the_largest_organization():
    service = LogService()
    async with running(service, StoppedClock()) as refusals:
        for number in range(MAX_QUEUED_ENTRIES // 2):
            for name in ("first", "second"):
                refusals.record(of_organization(name, f"{name} {number}"))
        for number in range(10):
            refusals.record(of_organization(GLOBEX, f"modest {number}"))
        await flush(refusals)
        assert refusals.dropped == 10
    last = MAX_QUEUED_ENTRIES // 2 - 1
    stored = set(service.stored)
    assert {f"modest {number}" for number in range(10)} <= stored
    assert stored >= {"first 0", "second 0"}
    assert not stored & {f"first {last}", f"second {last}", f"second {last - 4}"}


async def test_queued_entries_are_limited_in_bytes():
    service = LogService()
    service.is_unavailable = True
    body = "\N{GRINNING FACE}".encode() * 4_096
    async with running(service, StoppedClock()) as refusals:
        for number in range(MAX_QUEUED_ENTRIES // 2):
            for name in ("first", "second", "third"):
                refusals.record(of_organization(name, str(number), body=body))
        refusals.record(of_organization(GLOBEX, "modest", body=body))
        await flush(refusals)  # usersvc is unavailable, so the batch is queued again
        queued = 3 * MAX_QUEUED_ENTRIES // 2 + 1 - refusals.dropped
        service.is_unavailable = False
        await flush(refusals)
    assert len(service.stored) == queued
    assert "modest" in service.batches[0]
    assert MAX_QUEUED_BYTES * 0.99 < queued * len(body) < MAX_QUEUED_BYTES


def not_found(kind: str) -> RefusedError:
    """The refusal of a request for a user or group that does not exist."""
    return BackendRefusal(404, None, "It does not exist.", {}, f"{kind}_NOT_FOUND", {}).error()


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "GET"},
        {"caller": ANONYMOUS},
        {"method": "DELETE", "error": not_found("USER")},
        {"method": "DELETE", "endpoint": "Groups", "error": not_found("GROUP")},
    ],
)
async def test_requests_other_than_failed_changes_are_not_recorded(fields: dict):
    service = LogService()
    async with running(service, StoppedClock()) as refusals:
        refusals.record(refused("1", **fields))
        await flush(refusals)
    assert service.stored == []


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "PATCH", "error": not_found("USER")},
        {"method": "PUT", "error": not_found("GROUP")},
        {"method": "DELETE", "error": ScimError(404, None, "There is nothing at this path.")},
        {"method": "DELETE", "error": ScimError(412, None, "It has changed.")},
    ],
)
async def test_failed_changes_are_recorded(fields: dict):
    service = LogService()
    async with running(service, StoppedClock()) as refusals:
        refusals.record(refused("1", **fields))
        await flush(refusals)
    assert service.stored == ["1"]


async def test_unusable_key_is_recorded_once_a_minute():
    service, clock = LogService(), StoppedClock()
    fields = {"method": "GET", "error": expired_key(KEY), "target": "/Users?filter=ann"}
    async with running(service, clock) as refusals:
        for number in range(3):
            refusals.record(refused(str(number), caller=ANONYMOUS, **fields))
        clock.advance(seconds=61)
        refusals.record(refused("later", caller=ANONYMOUS, **fields))
        await flush(refusals)
    assert service.stored == ["0", "later"]


async def test_least_recently_recorded_key_is_forgotten_over_the_limit():
    clock = StoppedClock()
    async with running(LogService(), clock) as refusals:

        def record(number: int) -> int:
            """Record a request with an expired key; the number of new entries."""
            before = refusals._queue.length + refusals.dropped
            refusals.record(refused("1", caller=ANONYMOUS, error=expired_key(f"key {number}")))
            return refusals._queue.length + refusals.dropped - before

        first = [record(number) for number in range(MAX_REMEMBERED_KEYS + 1)]
        again = [record(number) for number in (MAX_REMEMBERED_KEYS, 1, 0)]

    assert first == [1] * (MAX_REMEMBERED_KEYS + 1)
    assert again == [0, 0, 1]


class Unserializable:
    """A message that gRPC cannot serialize, in place of an Activity."""

    organization_id = ACME
    report_id = "report"

    def ByteSize(self) -> int:  # noqa: N802 - the name in protobuf messages
        return 1


async def flush_despite_errors(refusals: RefusalLog) -> int:
    """Flush again after each error, as a restarted task does; the number of errors."""
    errors = 0
    while True:
        try:
            await flush(refusals)
        except TypeError:
            errors += 1
        else:
            return errors


async def test_unserializable_refusal_is_dropped_and_others_are_stored():
    service = LogService()
    async with running(service, StoppedClock()) as refusals:
        for number in range(3):
            refusals.record(refused(str(number)))
        refusals._queue.put(ACME, Unserializable(), 1)
        refusals.record(refused("3"))
        errors = await flush_despite_errors(refusals)
        assert refusals.dropped == 1
        assert refusals._queue.length == 0
    assert errors == MAX_ATTEMPTS - 1
    assert list(dict.fromkeys(service.stored)) == ["0", "1", "2", "3"]


async def test_batch_of_a_cancelled_task_is_queued_again():
    service = LogService()
    async with running(service, StoppedClock()) as refusals:
        for number in range(3):
            refusals.record(refused(str(number)))
        task = asyncio.create_task(flush(refusals))
        await asyncio.sleep(0)
        assert refusals._queue.length == 0
        task.cancel()
        await asyncio.wait([task])
        assert (refusals._queue.length, refusals.dropped) == (3, 0)
        await flush(refusals)
    assert set(service.stored) == {"0", "1", "2"}
