"""A semaphore with a bounded queue that shares its slots fairly between names."""

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
"""Queue positions for each slot: at the usual pace all waiters get a slot within WAIT_SECONDS."""

_Waiter = asyncio.Future[None]


class FairSemaphore:
    """A semaphore of `slots` slots, of which one name holds at most `share` (by default half).

    At most `queue` callers wait (by default QUEUE_PER_SLOT for each slot), and at most half of them
    have the same name. When the queue is full, a caller whose name has less than half as many
    waiters as another name displaces the newest waiter of the name with the most. A slot that
    becomes free goes to the name that holds the fewest slots, and among these to the name that has
    waited longest for its turn. So a name with many calls delays only its own calls.

    With `batched_release`, free slots linger until half of the slots that the waiters may hold are
    free, or for `linger_seconds`. Requests that begin together then share messages and statements.
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

    def would_admit(self, name: str, arriving: int = 0, arriving_of_name: int = 0) -> bool:
        """Whether one more caller would get a slot or a position in the queue.

        `arriving` other callers come before it, and `arriving_of_name` of them have its name.
        """
        if self._free > arriving and self._may_take(name, arriving_of_name):
            return True
        free_for_name = min(self._free, self._share - self._held_by(name))
        waiting_of_name = len(self._queues.get(name, ()))
        waiting_of_name += max(0, arriving_of_name - free_for_name)
        if waiting_of_name >= self._queue_size // 2:
            return False
        if self.waiting + max(0, arriving - self._free) < self._queue_size:
            return True
        # Less than half, so that names with similar numbers do not displace each other in turns.
        return waiting_of_name < max(map(len, self._queues.values()), default=0) // 2

    async def acquire(self, name: str) -> None:
        """Take a slot.

        Raises the rejection after `wait_seconds`, or immediately if the queue is full.
        """
        # A free slot does not mean an empty queue: others may wait for their share or a batch.
        if self._free and self._may_take(name):
            self._take(name)
            return
        await self._wait(name)

    def try_acquire(self, name: str) -> bool:
        """Take a slot if one is free and no caller waits, whatever its name."""
        if self.waiting or not self._free or not self._may_take(name):
            return False
        self._take(name)
        return True

    def release(self, name: str) -> None:
        """Return a slot."""
        self._free += 1
        self.in_use -= 1
        held = self._held[name] - 1
        if held:
            self._held[name] = held
        else:
            del self._held[name]
        if self.waiting:
            if not self._batched_release or self._is_batch():
                self._flush_timer.flush()
            else:
                self._flush_timer.linger()

    @asynccontextmanager
    async def slot(self, name: str) -> AsyncIterator[None]:
        """Hold a slot for the duration of an `async with` block."""
        await self.acquire(name)
        try:
            yield
        finally:
            self.release(name)

    def _may_take(self, name: str, more: int = 0) -> bool:
        """Whether a caller may take a free slot without waiting."""
        return not self._flush_timer.is_lingering and self._held_by(name) + more < self._share

    async def _wait(self, name: str) -> None:
        if not self.would_admit(name):
            raise self._rejection()
        if self.waiting >= self._queue_size:
            self._displace()
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._queues.setdefault(name, deque()).append(waiter)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter
        except TimeoutError:
            self._leave(name, waiter)
            raise self._rejection() from None
        except asyncio.CancelledError:
            self._leave(name, waiter)
            raise
        finally:
            del waiter  # breaks a reference cycle: the exception's traceback has this frame

    def _displace(self) -> None:
        """Reject the newest waiter of the name with the most waiters."""
        name = max(self._queues, key=lambda each: len(self._queues[each]))
        queue = self._queues[name]
        waiter = queue.pop()
        self._count_removal(name, queue)
        if not waiter.done():  # else it was cancelled in the same turn of the event loop
            waiter.set_exception(self._rejection())

    def _leave(self, name: str, waiter: _Waiter) -> None:
        """Leave the queue; return a slot that was granted in the same turn of the event loop."""
        if waiter.done() and not waiter.cancelled():
            if waiter.exception() is None:
                self.release(name)
            return
        queue = self._queues.get(name, deque())
        if waiter in queue:
            queue.remove(waiter)
            self._count_removal(name, queue)

    def _is_batch(self) -> bool:
        """Whether half of the slots that the waiters may hold are free, or one for each waiter."""
        shares = self._share * len(self._queues)
        enough = min(self._slots / 2, shares / 2, self.waiting)
        return self._free >= enough and shares - sum(map(self._held_by, self._queues)) >= enough

    def _held_by(self, name: str) -> int:
        return self._held.get(name, 0)

    def _hand_out(self) -> None:
        """Give the free slots to waiters."""
        while self._free:
            eligible = [each for each in self._queues if self._held_by(each) < self._share]
            if not eligible:
                return
            name = min(eligible, key=self._held_by)
            queue = self._queues.pop(name)
            waiter = queue.popleft()
            self._queues[name] = queue  # round robin: the name goes to the end
            self._count_removal(name, queue)
            if not waiter.done():  # else it was cancelled in the same turn of the event loop
                self._take(name)
                waiter.set_result(None)

    def _take(self, name: str) -> None:
        self._free -= 1
        self.in_use += 1
        self._held[name] = self._held_by(name) + 1

    def _count_removal(self, name: str, queue: deque[_Waiter]) -> None:
        self.waiting -= 1
        if not queue:
            del self._queues[name]
