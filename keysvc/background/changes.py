"""Changes that end what callers know about keys, from the database to every stream.

Any replica's change reaches all replicas by NOTIFY. Each of them has one
connection that listens, and asks it a question several times a second: an
answer shows that every change committed before the question has been heard.
Only then do the streams get a heartbeat, so a caller that trusts nothing older
than its last heartbeat is safe also from a connection that died unnoticed.
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

HEARTBEAT_SECONDS: Final = 0.2  # the contract says 0.25: the rest is for the question and answer
ANSWER_SECONDS: Final = 2.0
BACK_OFF_SECONDS: Final = 0.25
BACKLOG: Final = 1_000


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Every change so far has been told."""


@dataclass(frozen=True, slots=True)
class OrganizationChanged:
    """Keys or integration of an organization changed."""

    organization_id: str


Event: TypeAlias = Heartbeat | OrganizationChanged


class Subscription:
    """What one stream has still to tell.

    It ends with what is there, and never with a gap: a stream that falls too
    far behind is ended, and its caller begins anew.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._refused = False

    def offer(self, event: Event) -> None:
        """Queue an event. Any event is a sign of life, so a heartbeat never has to queue."""
        if len(self._events) >= BACKLOG:
            self.end(refused=False)
        elif not self._ended and not (self._events and isinstance(event, Heartbeat)):
            self._events.append(event)
            self._news.set()

    def end(self, *, refused: bool) -> None:
        """Let the stream end: well, or because changes can no longer be followed."""
        if not self._ended:
            self._ended, self._refused = True, refused
            self._events.clear()
            self._news.set()

    async def events(self) -> AsyncIterator[Event]:
        """The events as they come; refuses DatabaseUnavailable when they cannot be told."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._events:
                yield self._events.popleft()
            if self._refused:
                raise DatabaseUnavailable
            if self._ended:
                return


class Changes:
    """Follows the changes of all replicas and hands them to the streams of this one.

    `database` should have one connection, for this alone: a pool that is busy
    must not keep a revocation waiting. It needs a session of PostgreSQL's own: a
    pooler that changes sessions between statements would lose what it hears.
    """

    def __init__(self, database: Database, log: Logger) -> None:
        self._database = database
        self._log = log
        self._subscriptions: set[Subscription] = set()
        self._following = False

    @property
    def following(self) -> bool:
        """Whether a change would be heard right now."""
        return self._following

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._subscriptions)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Hear every change from now on; refuses DatabaseUnavailable when none would be heard."""
        if not self._following:
            raise DatabaseUnavailable
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def follow(self, stop: asyncio.Event) -> None:
        """Listen until told to stop, connecting again whenever the connection is lost."""
        while not stop.is_set():
            try:
                await self._listen(stop)
            except DatabaseUnavailable as error:
                error_type = type(error.__cause__).__name__
                self._log.debug("key feed not connected", error_type=error_type)
            await wait_for_event(stop, BACK_OFF_SECONDS)

    async def _listen(self, stop: asyncio.Event) -> None:
        async with self._database.connection() as connection:
            try:
                await connection.add_listener(CHANNEL, self._hear)
                self._following = True
                self._log.info("key feed connected")
                while not stop.is_set():
                    await connection.fetchval("SELECT 1", timeout=ANSWER_SECONDS)
                    self._tell(Heartbeat())
                    await wait_for_event(stop, HEARTBEAT_SECONDS)
                await connection.remove_listener(CHANNEL, self._hear)
            except BaseException:
                # Giving it back to the pool in order would wait for a server that may be gone.
                connection.terminate()
                raise
            finally:
                self._end_streams(refused=not stop.is_set())

    def _hear(self, _connection: object, _pid: int, _channel: str, organization_id: str) -> None:
        self._tell(OrganizationChanged(organization_id))

    def _tell(self, event: Event) -> None:
        for subscription in self._subscriptions:
            subscription.offer(event)

    def _end_streams(self, *, refused: bool) -> None:
        if self._following:
            self._following = False
            self._log.info("key feed disconnected", streams=self.streams)
        for subscription in self._subscriptions:
            subscription.end(refused=refused)
