"""The feed: finds out how far changes are final, and lets those who follow them read on.

Nobody polls in a loop and no writer notifies inside its transaction, which would
let all of them commit one after the other: whoever wrote rings a bell when it has
committed, and the rings of a moment become one NOTIFY to the other replicas. A
slow look is the safety net for a ring that was lost.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from chassis.clock import Clock
from chassis.concurrency.notifier import Notifier
from chassis.concurrency.waiting import wait_for_event
from chassis.errors import DatabaseUnavailable
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from usersvc.domain.changes import Change, ChangeCursor
from usersvc.store.changes import ChangeStore, Listener, Watermark, Wire

COALESCE_SECONDS: Final = 0.01
LOOK_SECONDS: Final = 1.0
PENDING_SECONDS: Final = 0.05
BACK_OFF_SECONDS: Final = 0.25
FOLLOWED_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 15.0
BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Batch:
    """The next changes, and where a reader is behind them."""

    changes: list[Change]
    start: ChangeCursor
    """Where the reader was before them."""
    place: ChangeCursor


class _Reader:
    """One stream, to be woken when there may be something for it."""

    def __init__(self, organization_id: UUID | None) -> None:
        self.organization_id = organization_id
        self.bell = Notifier()


class ChangeFeed:
    """Follows the changes of all replicas for the streams of this one.

    `bell` is for those who write changes.
    """

    def __init__(
        self, store: ChangeStore, listener: Listener, bell: Notifier, clock: Clock, log: Logger
    ) -> None:
        self._store = store
        self._listener = listener
        self._bell = bell
        self._clock = clock
        self._log = log
        self._edge: Watermark | None = None
        self._followed = asyncio.Event()
        self._ended = False
        self._readers: set[_Reader] = set()
        self._lag = 0.0
        self._behind_since: float | None = None

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell how the feed does."""
        metrics.gauge(
            "change_feed_connected", "1 while the LISTEN connection is up.", lambda: self.following
        )
        metrics.gauge("change_feed_streams", "Open streams of changes.", lambda: self.streams)
        metrics.gauge(
            "change_feed_lag_seconds",
            "Age of the oldest change when it was sent.",
            lambda: self.lag,
        )

    @property
    def following(self) -> bool:
        """Whether changes reach the streams now."""
        return self._edge is not None

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._readers)

    @property
    def lag(self) -> float:
        """How late changes are told: those told last, or how long others wait already."""
        waiting = 0.0 if self._behind_since is None else time.monotonic() - self._behind_since
        return max(self._lag, waiting)

    async def read(self, organization_id: UUID | None, token: str) -> AsyncGenerator[Batch, None]:
        """What happens behind a token, or from now on without one, until the feed ends.

        A batch comes at once and whenever there is something, an empty one as a sign of life.
        Refuses INVALID_CHANGE_TOKEN, CHANGES_TRIMMED and DatabaseUnavailable.
        """
        with self._reader(organization_id) as reader:
            place, due = await self._start(organization_id, token), 0.0
            loop = asyncio.get_running_loop()
            while not self._ended:
                edge = await self._reached()
                start = place
                changes, place = await self._store.following(place, edge.horizon, BATCH)
                if changes or loop.time() >= due:
                    yield Batch(changes, start, place)
                    due = loop.time() + HEARTBEAT_SECONDS
                if place.number >= edge.horizon:
                    await reader.bell.wait(max(0.0, due - loop.time()))

    async def _start(self, organization_id: UUID | None, token: str) -> ChangeCursor:
        edge = await self._store.edge()
        if not token:
            return ChangeCursor(edge.feed_id, organization_id, edge.horizon)
        place = ChangeCursor.of_token(token, organization_id)
        edge.check(place)
        return place

    async def _reached(self) -> Watermark:
        # A moment is enough for a connection that was lost, and at the start.
        if self._edge is None and not await wait_for_event(self._followed, FOLLOWED_SECONDS):
            raise DatabaseUnavailable
        if self._edge is None:  # lost again
            raise DatabaseUnavailable
        return self._edge

    @contextmanager
    def _reader(self, organization_id: UUID | None) -> Iterator[_Reader]:
        reader = _Reader(organization_id)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    async def follow(self, stop: asyncio.Event) -> None:
        """Look whenever something was changed, until told to stop."""
        while not stop.is_set():
            try:
                async with self._listener.connection(self._bell.wake) as wire:
                    await self._look(wire, stop)
            except DatabaseUnavailable as error:
                error_type = type(error.__cause__).__name__
                self._log.debug("change feed disconnected", error_type=error_type)
            await wait_for_event(stop, BACK_OFF_SECONDS)

    async def _look(self, wire: Wire, stop: asyncio.Event) -> None:
        self._log.debug("change feed connected")
        try:
            while not stop.is_set():
                edge = await wire.edge()
                await self._advance(edge)
                if await self._bell.wait(PENDING_SECONDS if edge.pending else LOOK_SECONDS):
                    await wire.announce()
                    await asyncio.sleep(COALESCE_SECONDS)
        finally:
            self._edge = None
            self._followed.clear()
            self._wake(self._readers)

    async def _advance(self, edge: Watermark) -> None:
        """Wake the streams that there is something for behind the last edge."""
        before = self._edge
        if not edge.pending:
            self._behind_since = None
        elif self._behind_since is None or (before and edge.horizon > before.horizon):
            self._behind_since = time.monotonic()
        if before is None or before.feed_id != edge.feed_id:
            self._edge = edge
            self._followed.set()
            self._wake(self._readers)
        elif edge.horizon > before.horizon:
            found = await self._store.organizations(before.horizon, edge.horizon)
            self._edge = edge
            if found:
                self._lag = (self._clock() - min(found.values())).total_seconds()
            self._wake(
                reader
                for reader in self._readers
                if reader.organization_id is None or reader.organization_id in found
            )
        else:
            self._lag = 0.0

    async def end(self, stop: asyncio.Event) -> None:
        """End the streams and `follow` once `stop` is set."""
        await stop.wait()
        self._ended = True
        self._bell.wake()
        self._wake(self._readers)

    def _wake(self, readers: Iterable[_Reader]) -> None:
        for reader in readers:
            reader.bell.notify()
