"""The change feed: finds the changes that are final and wakes the streams that read them.

Writers do not run NOTIFY in their transactions, because that would serialize all commits. Instead a
writer notifies this feed after its commit, and the feed combines notifications that come close
together into one NOTIFY to the other replicas. A slow poll makes up for lost notifications.
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
from usersvc.store.changes import ChangeStore, ListenConnection, Listener, Watermark

COALESCE_SECONDS: Final = 0.01
POLL_SECONDS: Final = 1.0
PENDING_POLL_SECONDS: Final = 0.05
BACK_OFF_SECONDS: Final = 0.25
CONNECT_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 15.0
BATCH_SIZE: Final = 200


@dataclass(frozen=True, slots=True)
class Batch:
    """The next changes of a stream, and the reader's cursors before (`start`) and after them."""

    changes: list[Change]
    start: ChangeCursor
    end: ChangeCursor


class _Reader:
    """One open stream. Its notifier is notified when there may be changes for it."""

    def __init__(self, organization_id: UUID | None) -> None:
        self.organization_id = organization_id
        self.notifier = Notifier()


class ChangeFeed:
    """Follows the changes of all replicas, for the streams of this replica.

    Stores that write changes notify `notifier` after their commits.
    """

    def __init__(
        self, store: ChangeStore, listener: Listener, notifier: Notifier, clock: Clock, log: Logger
    ) -> None:
        self._store = store
        self._listener = listener
        self._notifier = notifier
        self._clock = clock
        self._log = log
        self._watermark: Watermark | None = None
        self._connected = asyncio.Event()
        self._ended = False
        self._readers: set[_Reader] = set()
        self._lag = 0.0
        self._pending_since: float | None = None

    def observe(self, metrics: Metrics) -> None:
        """Register the metrics of the feed."""
        metrics.gauge(
            "change_feed_connected", "1 while the LISTEN connection is up.", lambda: self.connected
        )
        metrics.gauge("change_feed_streams", "Open streams of changes.", lambda: self.streams)
        metrics.gauge(
            "change_feed_lag_seconds",
            "Age of the oldest change when it was sent.",
            lambda: self.lag,
        )

    @property
    def connected(self) -> bool:
        """Whether the feed is connected, so that changes reach the streams."""
        return self._watermark is not None

    @property
    def streams(self) -> int:
        """The number of open streams."""
        return len(self._readers)

    @property
    def lag(self) -> float:
        """The delay in seconds: of the last changes sent or of those still waiting, if longer."""
        waiting = 0.0 if self._pending_since is None else time.monotonic() - self._pending_since
        return max(self._lag, waiting)

    async def read(self, organization_id: UUID | None, token: str) -> AsyncGenerator[Batch, None]:
        """Read the changes after a token, or from now on without a token, until the feed ends.

        The first batch comes at once. Later batches come with new changes, or empty as heartbeats.
        Refuses INVALID_CHANGE_TOKEN, CHANGES_TRIMMED and DatabaseUnavailable.
        """
        with self._registered_reader(organization_id) as reader:
            cursor, heartbeat_time = await self._start(organization_id, token), 0.0
            loop = asyncio.get_running_loop()
            while not self._ended:
                watermark = await self._current_watermark()
                start = cursor
                changes, cursor = await self._store.changes_after(
                    cursor, watermark.horizon, BATCH_SIZE
                )
                if changes or loop.time() >= heartbeat_time:
                    yield Batch(changes, start, cursor)
                    heartbeat_time = loop.time() + HEARTBEAT_SECONDS
                if cursor.number >= watermark.horizon:
                    await reader.notifier.wait(max(0.0, heartbeat_time - loop.time()))

    async def _start(self, organization_id: UUID | None, token: str) -> ChangeCursor:
        watermark = await self._store.watermark()
        if not token:
            return watermark.cursor(organization_id)
        cursor = ChangeCursor.from_token(token, organization_id)
        watermark.check(cursor)
        return cursor

    async def _current_watermark(self) -> Watermark:
        # CONNECT_SECONDS is long enough for `follow` to connect or reconnect.
        if self._watermark is None and not await wait_for_event(self._connected, CONNECT_SECONDS):
            raise DatabaseUnavailable
        if self._watermark is None:  # the connection was lost again
            raise DatabaseUnavailable
        return self._watermark

    @contextmanager
    def _registered_reader(self, organization_id: UUID | None) -> Iterator[_Reader]:
        reader = _Reader(organization_id)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    async def follow(self, stop: asyncio.Event) -> None:
        """Advance the watermark after every change, until `stop` is set."""
        while not stop.is_set():
            try:
                async with self._listener.connection(self._notifier.wake) as connection:
                    await self._poll(connection, stop)
            except DatabaseUnavailable as error:
                error_type = type(error.__cause__).__name__
                self._log.debug("change feed disconnected", error_type=error_type)
            await wait_for_event(stop, BACK_OFF_SECONDS)

    async def _poll(self, connection: ListenConnection, stop: asyncio.Event) -> None:
        self._log.debug("change feed connected")
        try:
            while not stop.is_set():
                watermark = await connection.watermark()
                await self._advance(watermark)
                if await self._notifier.wait(
                    PENDING_POLL_SECONDS if watermark.pending else POLL_SECONDS
                ):
                    await connection.notify_replicas()
                    await asyncio.sleep(COALESCE_SECONDS)
        finally:
            self._watermark = None
            self._connected.clear()
            self._notify_readers(self._readers)

    async def _advance(self, watermark: Watermark) -> None:
        """Notify the streams that have changes after the last watermark."""
        before = self._watermark
        if not watermark.pending:
            self._pending_since = None
        elif self._pending_since is None or (before and watermark.horizon > before.horizon):
            self._pending_since = time.monotonic()
        if before is None or before.feed_id != watermark.feed_id:
            self._watermark = watermark
            self._connected.set()
            self._notify_readers(self._readers)
        elif watermark.horizon > before.horizon:
            first_times = await self._store.organizations(before.horizon, watermark.horizon)
            self._watermark = watermark
            if first_times:
                self._lag = (self._clock() - min(first_times.values())).total_seconds()
            self._notify_readers(
                reader
                for reader in self._readers
                if reader.organization_id is None or reader.organization_id in first_times
            )
        else:
            self._lag = 0.0

    async def end_streams_on(self, stop: asyncio.Event) -> None:
        """End the streams and `follow` once `stop` is set."""
        await stop.wait()
        self._ended = True
        self._notifier.wake()
        self._notify_readers(self._readers)

    def _notify_readers(self, readers: Iterable[_Reader]) -> None:
        for reader in readers:
            reader.notifier.notify()
