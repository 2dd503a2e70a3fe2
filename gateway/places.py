"""Places for the requests that are under way: who finds none waits a moment, or is turned away."""

import asyncio
from collections import deque
from typing import Final

from gateway.turned_away import full

WAIT_SECONDS: Final = 2.0
WAITING_PER_PLACE: Final = 4
"""How many wait for each place: at the usual pace all of them get one within WAIT_SECONDS."""

_Turn = asyncio.Future[None]


class Places:
    """So many requests at once, `share` of them of one organization at most: half if not said.

    Of those that wait half are of one at most. A place that gets free goes to the
    organization that has the fewest, and among these to the one that has waited
    longest for its turn: whoever sends much waits for itself.
    """

    def __init__(
        self, number: int, wait_seconds: float = WAIT_SECONDS, *, share: int | None = None
    ) -> None:
        self._free = number
        self._wait_seconds = wait_seconds
        self._share = share or max(1, number // 2)
        self._room = number * WAITING_PER_PLACE
        self._taken: dict[str, int] = {}
        self._queues: dict[str, deque[_Turn]] = {}
        self.running = 0
        self.waiting = 0

    def has_room(self, organization_id: str) -> bool:
        """Whether one more may have a place, or wait for one."""
        if self._free and self._taken.get(organization_id, 0) < self._share:
            return True
        queue = self._queues.get(organization_id, ())
        return self.waiting < self._room and len(queue) < self._room // 2

    async def take(self, organization_id: str) -> None:
        """Take a place, after a moment's wait at most; refuses TurnedAwayError (503)."""
        # Whoever waits while a place is free waits for one of its own.
        if self._free and self._taken.get(organization_id, 0) < self._share:
            self._give(organization_id)
            return
        await self._wait(organization_id)

    def give_back(self, organization_id: str) -> None:
        """Leave a place to whoever is next."""
        self._free += 1
        self.running -= 1
        left = self._taken[organization_id] - 1
        if left:
            self._taken[organization_id] = left
        else:
            del self._taken[organization_id]
        if self.waiting:
            self._next()

    async def _wait(self, organization_id: str) -> None:
        if not self.has_room(organization_id):
            raise full()
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(organization_id, deque()).append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except TimeoutError:
            self._leave(organization_id, turn)
            raise full() from None
        except asyncio.CancelledError:
            self._leave(organization_id, turn)
            raise

    def _leave(self, organization_id: str, turn: _Turn) -> None:
        """Give up, even if the turn has come in this very moment."""
        if turn.done() and not turn.cancelled():
            self.give_back(organization_id)
            return
        queue = self._queues.get(organization_id, deque())
        if turn in queue:
            queue.remove(turn)
            self._left_queue(organization_id, queue)

    def _next(self) -> None:
        while self._free:
            waiting = [each for each in self._queues if self._taken.get(each, 0) < self._share]
            if not waiting:
                return
            organization_id = min(waiting, key=lambda each: self._taken.get(each, 0))
            queue = self._queues.pop(organization_id)
            turn = queue.popleft()
            self._queues[organization_id] = queue  # to the end: others are next
            self._left_queue(organization_id, queue)
            if not turn.done():  # else it was given up in this very moment
                self._give(organization_id)
                turn.set_result(None)

    def _give(self, organization_id: str) -> None:
        self._free -= 1
        self.running += 1
        self._taken[organization_id] = self._taken.get(organization_id, 0) + 1

    def _left_queue(self, organization_id: str, queue: deque[_Turn]) -> None:
        self.waiting -= 1
        if not queue:
            del self._queues[organization_id]
