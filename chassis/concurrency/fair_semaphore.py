"""Places for what is under way: who finds none waits a moment, or is refused."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

WAIT_SECONDS: Final = 2.0
WAITING_PER_PLACE: Final = 4
"""How many wait for each place: at the usual pace all of them get one within WAIT_SECONDS."""
BUNCH_SECONDS: Final = 0.05
"""How long a place stays free at most until there are enough for a bunch."""

_Turn = asyncio.Future[None]


class Places:
    """So many at once, `share` of them of one name at most: half if not said.

    `room` may wait, WAITING_PER_PLACE for each place if not said, and half of these
    are of one name at most; when all wait that may, one more of a name with less than
    half as many as another takes the turn of the newest of the name with the most. A
    place that gets free goes to the name that has the fewest, and among these to the
    one that has waited longest for its turn: whoever sends much waits for itself.
    With `bunches`, those who wait are let in together, once half of the places that they
    may have are free or BUNCH_SECONDS have passed, even if a place of theirs is free: what
    begins together shares messages and statements on its way. `refusal` makes what is
    raised for who finds no place.
    """

    def __init__(
        self,
        number: int,
        refusal: Callable[[], Exception],
        wait_seconds: float = WAIT_SECONDS,
        *,
        share: int | None = None,
        room: int | None = None,
        bunches: bool = False,
    ) -> None:
        self._number = self._free = number
        self._refusal = refusal
        self._wait_seconds = wait_seconds
        self._share = share or max(1, number // 2)
        self._room = number * WAITING_PER_PLACE if room is None else room
        self._bunches = bunches
        self._gathering: asyncio.TimerHandle | None = None
        self._taken: dict[str, int] = {}
        self._queues: dict[str, deque[_Turn]] = {}
        self.running = 0
        self.waiting = 0

    def has_room(self, name: str, coming: int = 0, of_name: int = 0) -> bool:
        """Whether one more may have a place, or wait for one, after as many as are coming."""
        if self._free > coming and self._is_open(name, of_name):
            return True
        places = min(self._free, self._share - self._taken_by(name))
        mine = len(self._queues.get(name, ())) + max(0, of_name - places)
        if mine >= self._room // 2:
            return False
        if self.waiting + max(0, coming - self._free) < self._room:
            return True
        # Half as many at most: names with like numbers shall not displace each other in turns.
        return mine < max(map(len, self._queues.values()), default=0) // 2

    async def take(self, name: str) -> None:
        """Take a place, after a moment's wait at most; raises the refusal if there is none."""
        # Whoever waits while a place is free waits for one of its own, or for a bunch.
        if self._free and self._is_open(name):
            self._give(name)
            return
        await self._wait(name)

    def give_back(self, name: str) -> None:
        """Leave a place to whoever is next."""
        self._free += 1
        self.running -= 1
        left = self._taken[name] - 1
        if left:
            self._taken[name] = left
        else:
            del self._taken[name]
        if self.waiting:
            self._gather()

    @asynccontextmanager
    async def place(self, name: str) -> AsyncIterator[None]:
        """A place, for `async with`."""
        await self.take(name)
        try:
            yield
        finally:
            self.give_back(name)

    def _is_open(self, name: str, more: int = 0) -> bool:
        """Whether a place that is free may be taken at once."""
        return self._gathering is None and self._taken_by(name) + more < self._share

    async def _wait(self, name: str) -> None:
        if not self.has_room(name):
            raise self._refusal()
        if self.waiting >= self._room:
            self._displace()
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(name, deque()).append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except TimeoutError:
            self._leave(name, turn)
            raise self._refusal() from None
        except asyncio.CancelledError:
            self._leave(name, turn)
            raise
        finally:
            del turn  # it may hold the exception whose traceback holds this frame: a cycle

    def _displace(self) -> None:
        """Refuse the newest of the name of which the most wait."""
        name = max(self._queues, key=lambda each: len(self._queues[each]))
        queue = self._queues[name]
        turn = queue.pop()
        self._left_queue(name, queue)
        if not turn.done():  # else it was given up in this very moment
            turn.set_exception(self._refusal())

    def _leave(self, name: str, turn: _Turn) -> None:
        """Give up, even if the turn has come in this very moment."""
        if turn.done() and not turn.cancelled():
            if turn.exception() is None:
                self.give_back(name)
            return
        queue = self._queues.get(name, deque())
        if turn in queue:
            queue.remove(turn)
            self._left_queue(name, queue)

    def _gather(self) -> None:
        """Let the next ones in, now or once there are places for a bunch of them."""
        if not self._bunches or self._is_a_bunch():
            self._next()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(BUNCH_SECONDS, self._next)

    def _is_a_bunch(self) -> bool:
        """Whether half of the places are free that those who wait may have, or all of them can."""
        shares = self._share * len(self._queues)
        enough = min(self._number / 2, shares / 2, self.waiting)
        return self._free >= enough and shares - sum(map(self._taken_by, self._queues)) >= enough

    def _taken_by(self, name: str) -> int:
        return self._taken.get(name, 0)

    def _next(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        while self._free:
            waiting = [each for each in self._queues if self._taken_by(each) < self._share]
            if not waiting:
                return
            name = min(waiting, key=self._taken_by)
            queue = self._queues.pop(name)
            turn = queue.popleft()
            self._queues[name] = queue  # to the end: others are next
            self._left_queue(name, queue)
            if not turn.done():  # else it was given up in this very moment
                self._give(name)
                turn.set_result(None)

    def _give(self, name: str) -> None:
        self._free -= 1
        self.running += 1
        self._taken[name] = self._taken_by(name) + 1

    def _left_queue(self, name: str, queue: deque[_Turn]) -> None:
        self.waiting -= 1
        if not queue:
            del self._queues[name]
