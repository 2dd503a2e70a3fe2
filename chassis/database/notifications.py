"""Sends the notifications of one PostgreSQL channel to streams, for callers that keep a cache.

Every replica gets the notifications of all replicas by NOTIFY, on one connection that listens. At
short intervals it runs a statement on that connection. The response shows that the notifications of
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

STATEMENT_TIMEOUT_SECONDS: Final = 2.0
RECONNECT_SECONDS: Final = 0.25
QUEUE_SIZE: Final = 1_000
"""The maximum of events that wait for one stream."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """All notifications so far have been sent."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification of the channel."""

    payload: str


Event: TypeAlias = Heartbeat | Notification


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


class NotificationFeed:
    """Receives the notifications of all replicas and sends them to the streams of this one.

    `database` should have one connection that nothing else uses, because a notification must not
    wait for a busy pool. It needs a PostgreSQL session of its own: a pooler that changes sessions
    between statements would lose notifications.
    """

    def __init__(
        self, database: Database, channel: str, heartbeat_seconds: float, log: Logger
    ) -> None:
        self._database = database
        self._channel = channel
        self._heartbeat_seconds = heartbeat_seconds
        self._log = log
        self._subscriptions: set[Subscription] = set()
        self._is_listening = False

    @property
    def is_listening(self) -> bool:
        """Whether the feed receives notifications now."""
        return self._is_listening

    @property
    def streams(self) -> int:
        """The number of open streams."""
        return len(self._subscriptions)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Receive all notifications from now on. Refuses DatabaseUnavailable while disconnected."""
        if not self._is_listening:
            raise DatabaseUnavailable
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def follow(self, stop: asyncio.Event) -> None:
        """Receive notifications until `stop` is set. Reconnects when the connection is lost."""
        while not stop.is_set():
            try:
                await self._listen(stop)
            except DatabaseUnavailable as error:
                error_type = type(error.__cause__).__name__
                self._log.debug("feed not connected", channel=self._channel, error_type=error_type)
            await wait_for_event(stop, RECONNECT_SECONDS)

    async def _listen(self, stop: asyncio.Event) -> None:
        async with self._database.connection() as connection:
            try:
                await connection.add_listener(self._channel, self._on_notification)
                self._is_listening = True
                self._log.info("feed connected", channel=self._channel)
                while not stop.is_set():
                    await connection.fetchval("SELECT 1", timeout=STATEMENT_TIMEOUT_SECONDS)
                    self._publish(Heartbeat())
                    await wait_for_event(stop, self._heartbeat_seconds)
                await connection.remove_listener(self._channel, self._on_notification)
            except BaseException:
                # A release to the pool would wait for a server that may be gone.
                connection.terminate()
                raise
            finally:
                self._end_streams(refused=not stop.is_set())

    def _on_notification(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        self._publish(Notification(payload))

    def _publish(self, event: Event) -> None:
        for subscription in self._subscriptions:
            subscription.offer(event)

    def _end_streams(self, *, refused: bool) -> None:
        if self._is_listening:
            self._is_listening = False
            self._log.info("feed disconnected", channel=self._channel, streams=self.streams)
        for subscription in self._subscriptions:
            subscription.end(refused=refused)
