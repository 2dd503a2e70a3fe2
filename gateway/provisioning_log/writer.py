"""What was refused, for the log that an organization's administrators read.

No answer waits for it: what is noted is sent behind the requests, in batches to
which organizations contribute in turns, and dropped when there is too much of it:
first of the organization that has the most.
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
from gateway.provisioning_log.entry import Refused, ended_key_entry, refused_entry
from gateway.provisioning_log.fair_queue import Entry, FairQueue

if TYPE_CHECKING:
    from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceAsyncStub

WAITING: Final = 2_000
WAITING_BYTES: Final = 8 * 1024 * 1024
"""One entry has up to 40 KB: 2,000 of these would be 80 MB."""
BATCH: Final = 100
BATCH_BYTES: Final = 1024 * 1024
SECONDS: Final = 0.5
KEY_SECONDS: Final = 60.0
"""How often at most a key that no longer works is noted."""
KEYS: Final = 10_000
TRIES: Final = 5
"""How often an entry is sent that fails with an unexpected error."""
_AWAY: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,  # perhaps it was kept: it has its id, and is kept once
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # too many calls: nothing was done for this one
)

Batch: TypeAlias = Sequence[Entry[pb.Activity]]


class RejectionLog:
    """Sends what was refused to usersvc."""

    def __init__(self, stub: "ActivityServiceAsyncStub", clock: Clock, log: Logger) -> None:
        self._stub = stub
        self._clock = clock
        self._log = log
        self._waiting: FairQueue[pb.Activity] = FairQueue(WAITING, WAITING_BYTES)
        self._noted_keys: OrderedDict[str, float] = OrderedDict()
        self._tries: Counter[str] = Counter()
        self._not_kept = 0

    @property
    def dropped(self) -> int:
        """How many are in no log: no room, not taken by usersvc, or no entry could be made."""
        return self._waiting.dropped + self._not_kept

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell what could not be kept."""
        metrics.count(
            "provisioning_log_entries_dropped",
            "Refused requests that are missing from the provisioning log.",
            lambda: self.dropped,
        )

    def count_lost(self) -> None:
        """Count a refused request that could not be noted at all."""
        self._not_kept += 1

    def note(self, refused: Refused) -> None:
        """Keep a request for the log if it belongs there: a change, or a key that has ended."""
        activity = self._activity(refused)
        if activity is not None:
            self._waiting.put(activity.organization_id, activity, activity.ByteSize())

    async def write(self, stop: asyncio.Event) -> None:
        """Send what is noted until told to stop, and then the rest.

        An unexpected error is raised; the next call goes on with what was not sent.
        """
        while not await wait_for_event(stop, SECONDS):
            await self._send()
        await self._send()

    async def _send(self) -> None:
        while batch := self._waiting.take(BATCH, BATCH_BYTES):
            left: Batch = batch
            try:
                left = await self._record(batch)
            finally:  # also after an unexpected error: usersvc keeps what comes twice only once
                self._waiting.put_back(left)
            if left:
                return

    async def _record(self, batch: Batch) -> Batch:
        """What is left of a batch since nobody was there to take it."""
        try:
            request = pb.RecordRefusalsRequest(activities=[entry.item for entry in batch])
            await self._stub.RecordRefusals(request, timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in _AWAY:
                return batch
            if len(batch) > 1:  # one that cannot be kept takes no other with it
                return await self._record_each(batch)
            self._not_kept += 1
            self._log.warning("log entry dropped", status_code=error.code().name)
        except Exception as error:
            if len(batch) > 1:
                return await self._record_each(batch)
            if not self._is_last_try(batch[0]):
                raise
            self._log.warning("log entry dropped", error_type=type(error).__name__, attempts=TRIES)
        return ()

    def _is_last_try(self, entry: Entry[pb.Activity]) -> bool:
        """Count an unexpected failure; whether it was the last try, and the entry is dropped."""
        if len(self._tries) >= WAITING:  # most of them are sent by now, or were dropped
            self._tries.clear()
        report_id = entry.item.report_id
        self._tries[report_id] += 1
        if self._tries[report_id] < TRIES:
            return False
        del self._tries[report_id]
        self._not_kept += 1
        return True

    async def _record_each(self, batch: Batch) -> Batch:
        for index, entry in enumerate(batch):
            if await self._record([entry]):
                return batch[index:]
        return ()

    def _activity(self, refused: Refused) -> pb.Activity | None:
        if refused.ended_key:
            activity = self._ended_key(refused)
        elif refused.caller.organization_id and refused.is_write:
            activity = refused_entry(refused)
        else:
            return None
        if activity is not None:
            activity.time.FromDatetime(self._clock())
            activity.report_id = str(uuid4())
        return activity

    def _ended_key(self, refused: Refused) -> pb.Activity | None:
        key_id, now = refused.ended_key.get("key_id", ""), self._clock().timestamp()
        if not key_id or now - self._noted_keys.get(key_id, 0.0) < KEY_SECONDS:
            return None
        self._noted_keys[key_id] = now
        self._noted_keys.move_to_end(key_id)
        if len(self._noted_keys) > KEYS:
            self._noted_keys.popitem(last=False)
        return ended_key_entry(refused)
