"""A semaphore with a bounded queue that shares its slots fairly between keys."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from chassis.batching.flush_timer import FlushTimer
from chassis.batching.limits import RELEASE_LINGER_SECONDS

WAIT_SECONDS: Final = 2.0
"""How long `acquire` waits for a slot before it is rejected."""
QUEUE_PER_SLOT: Final = 4
"""Queue positions for each slot: few enough for all waiters to get a slot within WAIT_SECONDS, at
the usual duration of calls."""

_Waiter = asyncio.Future[None]


class FairSemaphore:
    """A semaphore of `slots` slots. One key holds at most `share` of them (by default half).

    At most `queue` callers wait (by default QUEUE_PER_SLOT for each slot), and at most half of them
    have the same key. A full queue still accepts a caller whose key has less than half as many
    waiters as the key with the most: the newest waiter of that key is rejected instead. A free slot
    goes to the key that holds the fewest slots. If several keys do, it goes to the one that has
    waited longest for its turn. So a key with many calls delays only its own calls.

    With `batched_release`, free slots are not granted one by one. They are granted together when
    half of the slots that the waiting keys may hold are free, or after `linger_seconds`. Requests
    that begin together then share messages and statements.

    `rejection` creates the exception that `acquire` raises.
    """

    def __init__(
        self,
        slots: int,
        rejection: Callable[[], Exception],
        wait_seconds: float = WAIT_SECONDS,
        *,
        share: int | None = None,
        queue: int | None = None,
        batched_release: bool = False,
        linger_seconds: float = RELEASE_LINGER_SECONDS,
    ) -> None:
        self._slots = self._free = slots
        self._rejection = rejection
        self._wait_seconds = wait_seconds
        self._share = share or max(1, slots // 2)
        self._queue_size = slots * QUEUE_PER_SLOT if queue is None else queue
        self._batched_release = batched_release
        self._flush_timer = FlushTimer(self._hand_out, linger_seconds)
        self._held: dict[str, int] = {}
        self._queues: dict[str, deque[_Waiter]] = {}
        self.in_use = 0
        """The number of slots that are held."""
        self.waiting = 0
        """The length of the queue."""

    def would_admit(self, key: str) -> bool:
        """Whether one more caller would get a slot or a position in the queue."""
        if self._free and self._may_take(key):
            return True
        waiting_of_key = len(self._queues.get(key, ()))
        if waiting_of_key >= self._queue_size // 2:
            return False
        if self.waiting < self._queue_size:
            return True
        # Less than half, so that keys with similar numbers of waiters do not displace each other.
        return waiting_of_key < max(map(len, self._queues.values()), default=0) // 2

    async def acquire(self, key: str) -> None:
        """Take a slot.

        Raises the rejection after `wait_seconds`, or immediately if the queue is full.
        """
        # A free slot does not mean an empty queue: others may wait for their share or a batch.
        if self._free and self._may_take(key):
            self._take(key)
            return
        await self._wait(key)

    def try_acquire(self, key: str) -> bool:
        """Take a slot if one is free and no caller of any key waits."""
        if self.waiting or not self._free or not self._may_take(key):
            return False
        self._take(key)
        return True

    def release(self, key: str) -> None:
        """Return a slot."""
        self._free += 1
        self.in_use -= 1
        held = self._held[key] - 1
        if held:
            self._held[key] = held
        else:
            del self._held[key]
        if self.waiting:
            if not self._batched_release or self._is_batch():
                self._flush_timer.flush()
            else:
                self._flush_timer.linger()

    @asynccontextmanager
    async def slot(self, key: str) -> AsyncIterator[None]:
        """Hold a slot for the duration of an `async with` block."""
        await self.acquire(key)
        try:
            yield
        finally:
            self.release(key)

    def _may_take(self, key: str) -> bool:
        """Whether a caller may take a free slot without waiting."""
        return not self._flush_timer.is_lingering and self._held_by(key) < self._share

    async def _wait(self, key: str) -> None:
        if not self.would_admit(key):
            raise self._rejection()
        if self.waiting >= self._queue_size:
            self._displace()
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._queues.setdefault(key, deque()).append(waiter)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter
        except TimeoutError:
            self._leave(key, waiter)
            raise self._rejection() from None
        except asyncio.CancelledError:
            self._leave(key, waiter)
            raise
        finally:
            del waiter  # breaks a reference cycle: the exception's traceback has this frame

    def _displace(self) -> None:
        """Reject the newest waiter of the key with the most waiters."""
        key = max(self._queues, key=lambda each: len(self._queues[each]))
        queue = self._queues[key]
        waiter = queue.pop()
        self._count_removal(key, queue)
        if not waiter.done():  # else it was cancelled in the same iteration of the event loop
            waiter.set_exception(self._rejection())

    def _leave(self, key: str, waiter: _Waiter) -> None:
        """Leave the queue; return a slot granted in the same iteration of the event loop."""
        if waiter.done() and not waiter.cancelled():
            if waiter.exception() is None:
                self.release(key)
            return
        queue = self._queues.get(key, deque())
        if waiter in queue:
            queue.remove(waiter)
            self._count_removal(key, queue)

    def _is_batch(self) -> bool:
        """Whether the free slots are half of what the waiting keys may hold, or enough for all."""
        shares = self._share * len(self._queues)
        enough = min(self._slots / 2, shares / 2, self.waiting)
        return self._free >= enough and shares - sum(map(self._held_by, self._queues)) >= enough

    def _held_by(self, key: str) -> int:
        return self._held.get(key, 0)

    def _hand_out(self) -> None:
        """Give the free slots to waiters."""
        while self._free:
            eligible = [each for each in self._queues if self._held_by(each) < self._share]
            if not eligible:
                return
            key = min(eligible, key=self._held_by)
            queue = self._queues.pop(key)
            waiter = queue.popleft()
            self._queues[key] = queue  # round robin: the key goes to the end
            self._count_removal(key, queue)
            if not waiter.done():  # else it was cancelled in the same iteration of the event loop
                self._take(key)
                waiter.set_result(None)

    def _take(self, key: str) -> None:
        self._free -= 1
        self.in_use += 1
        self._held[key] = self._held_by(key) + 1

    def _count_removal(self, key: str, queue: deque[_Waiter]) -> None:
        self.waiting -= 1
        if not queue:
            del self._queues[key]
