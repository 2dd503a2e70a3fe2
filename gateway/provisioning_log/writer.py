"""Sends refused requests to the provisioning log that an organization's administrators read.

No response waits for the log. Entries are queued and sent in batches, to which organizations
contribute in turns. When the queue is full, the organization with the most entries loses some.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import uuid4

import grpc
from cloudacademy.users.v1 import activity_pb2 as pb

from chassis.clock import Clock
from chassis.concurrency.waiting import wait_for_event
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from chassis.rpc.channel import DEADLINE_SECONDS
from gateway.provisioning_log.entry import RefusedRequest, refused_write_entry, unusable_key_entry
from gateway.provisioning_log.fair_queue import Entry, FairQueue

if TYPE_CHECKING:
    from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceAsyncStub

MAX_QUEUED_ENTRIES: Final = 2_000
MAX_QUEUED_BYTES: Final = 8 * 1024 * 1024
"""A second limit: an entry has up to 40 KB, so 2,000 entries could take 80 MB."""
BATCH_ENTRIES: Final = 100
BATCH_BYTES: Final = 1024 * 1024
FLUSH_SECONDS: Final = 0.5
KEY_ENTRY_SECONDS: Final = 60.0
"""The shortest time between two entries about the same unusable key."""
MAX_REMEMBERED_KEYS: Final = 10_000
MAX_ATTEMPTS: Final = 5
"""The most attempts to send an entry that fails with an unexpected error."""
_RETRYABLE: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,  # perhaps stored; its report_id prevents a second copy
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # too many calls; this one was not executed
)

Batch: TypeAlias = Sequence[Entry[pb.Activity]]


class RefusalLog:
    """Queues refused requests and sends them to usersvc."""

    def __init__(self, stub: "ActivityServiceAsyncStub", clock: Clock, log: Logger) -> None:
        self._stub = stub
        self._clock = clock
        self._log = log
        self._queue: FairQueue[pb.Activity] = FairQueue(MAX_QUEUED_ENTRIES, MAX_QUEUED_BYTES)
        self._recorded_keys: OrderedDict[str, float] = OrderedDict()
        self._failures: Counter[str] = Counter()
        self._lost = 0

    @property
    def dropped(self) -> int:
        """The number of lost entries: queue full, refused by usersvc, or impossible to create."""
        return self._queue.dropped + self._lost

    def observe(self, metrics: Metrics) -> None:
        """Register the counter of lost entries."""
        metrics.counter(
            "provisioning_log_entries_dropped",
            "Rejected requests that are missing from the provisioning log.",
            lambda: self.dropped,
        )

    def count_dropped(self) -> None:
        """Count a refused request for which no entry could be created."""
        self._lost += 1

    def record(self, refused: RefusedRequest) -> None:
        """Queue an entry if the request was a failed change, or came with an unusable key."""
        activity = self._activity(refused)
        if activity is not None:
            self._queue.put(activity.organization_id, activity, activity.ByteSize())

    async def write(self, stop: asyncio.Event) -> None:
        """Send queued entries until `stop` is set, then send the rest.

        Raises an unexpected error; the next call continues with the remaining entries.
        """
        while not await wait_for_event(stop, FLUSH_SECONDS):
            await self._send()
        await self._send()

    async def _send(self) -> None:
        while batch := self._queue.take(BATCH_ENTRIES, BATCH_BYTES):
            unsent: Batch = batch
            try:
                unsent = await self._send_batch(batch)
            finally:  # also after an unexpected error: usersvc stores a repeated entry only once
                self._queue.put_back(unsent)
            if unsent:
                return

    async def _send_batch(self, batch: Batch) -> Batch:
        """Send a batch. Returns the entries to send again later if usersvc is unavailable."""
        try:
            request = pb.RecordRefusalsRequest(activities=[entry.item for entry in batch])
            await self._stub.RecordRefusals(request, timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in _RETRYABLE:
                return batch
            if len(batch) > 1:  # one bad entry must not cause the loss of the others
                return await self._send_each(batch)
            self._lost += 1
            self._log.warning("log entry dropped", status_code=error.code().name)
        except Exception as error:
            if len(batch) > 1:
                return await self._send_each(batch)
            if not self._is_last_attempt(batch[0]):
                raise
            self._log.warning(
                "log entry dropped", error_type=type(error).__name__, attempts=MAX_ATTEMPTS
            )
        return ()

    def _is_last_attempt(self, entry: Entry[pb.Activity]) -> bool:
        """Count an unexpected failure; True if the entry is dropped after its last attempt."""
        if len(self._failures) >= MAX_QUEUED_ENTRIES:
            self._failures.clear()  # most of these entries have been sent or dropped by now
        report_id = entry.item.report_id
        self._failures[report_id] += 1
        if self._failures[report_id] < MAX_ATTEMPTS:
            return False
        del self._failures[report_id]
        self._lost += 1
        return True

    async def _send_each(self, batch: Batch) -> Batch:
        for index, entry in enumerate(batch):
            if await self._send_batch([entry]):
                return batch[index:]
        return ()

    def _activity(self, refused: RefusedRequest) -> pb.Activity | None:
        if refused.unusable_key:
            activity = self._unusable_key_activity(refused)
        elif refused.caller.organization_id and refused.is_failed_change:
            activity = refused_write_entry(refused)
        else:
            return None
        if activity is not None:
            activity.time.FromDatetime(self._clock())
            activity.report_id = str(uuid4())
        return activity

    def _unusable_key_activity(self, refused: RefusedRequest) -> pb.Activity | None:
        key_id, now = refused.unusable_key.get("key_id", ""), self._clock().timestamp()
        if not key_id or now - self._recorded_keys.get(key_id, 0.0) < KEY_ENTRY_SECONDS:
            return None
        self._recorded_keys[key_id] = now
        self._recorded_keys.move_to_end(key_id)
        if len(self._recorded_keys) > MAX_REMEMBERED_KEYS:
            self._recorded_keys.popitem(last=False)
        return unusable_key_entry(refused)
