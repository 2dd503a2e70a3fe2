"""The change feed: notifies all WatchKeys streams of changes that invalidate cached keys.

Every replica gets the changes of all replicas by NOTIFY, on one connection that listens. Several
times a second it runs a statement on that connection. The response shows that the notifications of
all changes that were committed before the statement have arrived, and the streams get a heartbeat.
So a caller that trusts its cache only for a limited time after the last heartbeat is safe even if
the connection dies unnoticed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from chassis.concurrency.waiting import wait_for_event
from chassis.database.pool import Database
from chassis.errors import DatabaseUnavailable
from chassis.observability.log import Logger
from keysvc.store.common import CHANNEL

HEARTBEAT_SECONDS: Final = 0.2  # the contract says 0.25; the rest is for the statement
STATEMENT_TIMEOUT_SECONDS: Final = 2.0
RECONNECT_SECONDS: Final = 0.25
QUEUE_SIZE: Final = 1_000
"""The maximum of events that wait for one stream."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """All changes so far have been sent."""


@dataclass(frozen=True, slots=True)
class OrganizationChanged:
    """The keys or the integration of an organization changed."""

    organization_id: str


Event: TypeAlias = Heartbeat | OrganizationChanged


class Subscription:
    """The queue of one stream.

    A stream never has a gap: if its queue overflows, it ends, and its caller subscribes again.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._refused = False

    def offer(self, event: Event) -> None:
        """Queue an event; drop a heartbeat if another event is queued, which serves as one."""
        if len(self._events) >= QUEUE_SIZE:
            self.end(refused=False)
        elif not self._ended and not (self._events and isinstance(event, Heartbeat)):
            self._events.append(event)
            self._changed.set()

    def end(self, *, refused: bool) -> None:
        """End the stream. `refused` says that the feed lost its database connection."""
        if not self._ended:
            self._ended, self._refused = True, refused
            self._events.clear()
            self._changed.set()

    async def events(self) -> AsyncIterator[Event]:
        """The events until the end. Refuses DatabaseUnavailable if the feed lost its connection."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._events:
                yield self._events.popleft()
            if self._refused:
                raise DatabaseUnavailable
            if self._ended:
                return


class Changes:
    """Receives the changes of all replicas and sends them to the streams of this one.

    `database` should have one connection that nothing else uses, because a revocation must not
    wait for a busy pool. It needs a PostgreSQL session of its own: a pooler that changes sessions
    between statements would lose notifications.
    """

    def __init__(self, database: Database, log: Logger) -> None:
        self._database = database
        self._log = log
        self._subscriptions: set[Subscription] = set()
        self._is_listening = False

    @property
    def is_listening(self) -> bool:
        """Whether the feed receives changes now."""
        return self._is_listening

    @property
    def streams(self) -> int:
        """The number of open streams."""
        return len(self._subscriptions)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Receive every change from now on. Refuses DatabaseUnavailable without a connection."""
        if not self._is_listening:
            raise DatabaseUnavailable
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def follow(self, stop: asyncio.Event) -> None:
        """Receive changes until `stop` is set. Reconnects when the connection is lost."""
        while not stop.is_set():
            try:
                await self._listen(stop)
            except DatabaseUnavailable as error:
                error_type = type(error.__cause__).__name__
                self._log.debug("key feed not connected", error_type=error_type)
            await wait_for_event(stop, RECONNECT_SECONDS)

    async def _listen(self, stop: asyncio.Event) -> None:
        async with self._database.connection() as connection:
            try:
                await connection.add_listener(CHANNEL, self._on_notification)
                self._is_listening = True
                self._log.info("key feed connected")
                while not stop.is_set():
                    await connection.fetchval("SELECT 1", timeout=STATEMENT_TIMEOUT_SECONDS)
                    self._publish(Heartbeat())
                    await wait_for_event(stop, HEARTBEAT_SECONDS)
                await connection.remove_listener(CHANNEL, self._on_notification)
            except BaseException:
                # A release to the pool would wait for a server that may be gone.
                connection.terminate()
                raise
            finally:
                self._end_streams(refused=not stop.is_set())

    def _on_notification(
        self, _connection: object, _pid: int, _channel: str, organization_id: str
    ) -> None:
        self._publish(OrganizationChanged(organization_id))

    def _publish(self, event: Event) -> None:
        for subscription in self._subscriptions:
            subscription.offer(event)

    def _end_streams(self, *, refused: bool) -> None:
        if self._is_listening:
            self._is_listening = False
            self._log.info("key feed disconnected", streams=self.streams)
        for subscription in self._subscriptions:
            subscription.end(refused=refused)
