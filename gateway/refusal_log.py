"""What was refused, for the log that an organization's administrators read.

No answer waits for it: what is noted is sent behind the requests, in batches,
and dropped when there is too much of it.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import grpc
from cloudacademy.users.v1 import activity_pb2 as pb

from chassis.channel import DEADLINE_SECONDS
from chassis.clock import Clock
from chassis.log import Logger
from chassis.metrics import Metrics
from chassis.waiting import wait
from gateway.refused import Refused, ended_key_entry, refused_entry

if TYPE_CHECKING:
    from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceAsyncStub

WAITING: Final = 2_000
BATCH: Final = 100
SECONDS: Final = 0.5
KEY_SECONDS: Final = 60.0
"""How often at most a key that no longer works is noted."""
KEYS: Final = 10_000
_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class RefusalLog:
    """Sends what was refused to usersvc."""

    def __init__(self, stub: "ActivityServiceAsyncStub", clock: Clock, log: Logger) -> None:
        self._stub = stub
        self._clock = clock
        self._log = log
        self._waiting: deque[pb.Activity] = deque()
        self._noted_keys: dict[str, float] = {}
        self.dropped = 0

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell what could not be kept."""
        metrics.count(
            "refusals_dropped", "Refused requests that are in no log.", lambda: self.dropped
        )

    def note(self, refused: Refused) -> None:
        """Keep a request for the log if it belongs there: a change, or a key that has ended."""
        activity = self._activity(refused)
        if activity is None:
            return
        if len(self._waiting) >= WAITING:
            self.dropped += 1
            return
        self._waiting.append(activity)

    async def write(self, stop: asyncio.Event) -> None:
        """Send what is noted until told to stop, and then the rest."""
        while not await wait(stop, SECONDS):
            await self._send()
        await self._send()

    async def _send(self) -> None:
        size = BATCH
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
            request = pb.RecordRefusalsRequest(activities=batch)
            try:
                await self._stub.RecordRefusals(request, timeout=DEADLINE_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() in _AWAY:  # what nobody took is sent again later
                    self._waiting.extendleft(reversed(batch))
                    return
                if len(batch) > 1:  # one that cannot be kept takes no other with it
                    self._waiting.extendleft(reversed(batch))
                    size = 1
                    continue
                self.dropped += 1
                self._log.warning("refusal not kept", code=error.code().name)

    def _activity(self, refused: Refused) -> pb.Activity | None:
        if refused.ended_key:
            activity = self._ended_key(refused)
        elif refused.caller.organization_id and refused.is_write:
            activity = refused_entry(refused)
        else:
            return None
        if activity is not None:
            activity.time.FromDatetime(self._clock())
        return activity

    def _ended_key(self, refused: Refused) -> pb.Activity | None:
        key_id, now = refused.ended_key.get("key_id", ""), self._clock().timestamp()
        if not key_id or now - self._noted_keys.get(key_id, 0.0) < KEY_SECONDS:
            return None
        if len(self._noted_keys) >= KEYS:
            self._noted_keys.clear()
        self._noted_keys[key_id] = now
        return ended_key_entry(refused)
