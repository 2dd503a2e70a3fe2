"""The connections that are open: not too many of them, and none whose client keeps us waiting."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from chassis.log import Logger
from chassis.metrics import Metrics

MAX_CONNECTIONS: Final = 2_000
MAX_UNSENT_BYTES: Final = 64 * 1024 * 1024
SWEEP_SECONDS: Final = 0.5

Monotonic = Callable[[], float]


class Body(Protocol):
    """The body of a request while it comes in."""

    def is_eof(self) -> bool:
        """Whether all of it is here."""


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds a client may keep us waiting."""

    head: float = 10.0
    """From the first byte of a request to the end of its headers."""
    body: float = 20.0
    """From there to the end of the body: 1 MiB at 50 KiB/s."""
    answer: float = 30.0
    """For taking what is written: a page of 3 MiB at 100 KiB/s."""
    goodbye: float = 10.0
    """For taking the rest once the connection is to be closed."""


@dataclass(eq=False, slots=True)
class Connection:
    """What one client keeps us waiting for, and since when; 0 is for nothing."""

    transport: asyncio.Transport
    body: Body
    head_since: float = 0.0
    body_since: float = 0.0
    answer_since: float = 0.0
    goodbye_since: float = 0.0
    idle_since: float = field(default_factory=time.monotonic)

    def received(self, now: float) -> None:
        """Bytes came in: if they are none of a request that is known, another one begins."""
        if not self.head_since and self.idle_since and self.body.is_eof():
            self.head_since, self.idle_since = now, 0.0

    def asked(self, body: Body, now: float) -> None:
        """The headers of a request are complete."""
        self.head_since = self.idle_since = 0.0
        self.body, self.body_since = body, now

    def answered(self, now: float) -> None:
        """What is to be written is written, or on its way."""
        self.idle_since = now

    @property
    def is_idle(self) -> bool:
        """Whether nothing is lost when it is closed."""
        return bool(self.idle_since) and not self.answer_since and self.body.is_eof()

    def late(self, now: float, patience: Patience) -> str:
        """What the client has kept us waiting for too long, if anything."""
        if self.transport.is_closing():
            self.goodbye_since = self.goodbye_since or now
        waits = (
            ("head", self.head_since, patience.head),
            ("body", 0.0 if self.body.is_eof() else self.body_since, patience.body),
            ("answer", self.answer_since, patience.answer),
            ("goodbye", self.goodbye_since, patience.goodbye),
        )
        return next((what for what, since, limit in waits if since and now - since > limit), "")


class Connections:
    """All that are open, `limit` at most: for a new one, the one that idles longest is closed."""

    def __init__(
        self,
        log: Logger,
        *,
        limit: int = MAX_CONNECTIONS,
        patience: Patience | None = None,
        max_unsent_bytes: int = MAX_UNSENT_BYTES,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._log = log
        self._limit = limit
        self._patience = patience or Patience()
        self._max_unsent_bytes = max_unsent_bytes
        self.now = monotonic
        self._open: set[Connection] = set()
        self.refused = 0
        self.cut = 0

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell of them."""
        metrics.gauge("http_connections", "Connections that are open.", lambda: len(self._open))
        metrics.count("http_connections_refused", "Connections too many.", lambda: self.refused)
        metrics.count(
            "http_connections_cut", "Clients that kept us waiting too long.", lambda: self.cut
        )

    def admit(self, transport: asyncio.Transport, body: Body) -> Connection | None:
        """Take a new connection in; None when there are too many."""
        if len(self._open) >= self._limit and not self._close_an_idle_one():
            self.refused += 1
            return None
        connection = Connection(transport, body, idle_since=self.now())
        self._open.add(connection)
        return connection

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        self._open.discard(connection)

    async def watch(self) -> None:
        """Cut off whoever keeps us waiting, for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Cut off those who keep us waiting too long, and who lets too much lie unread."""
        now = self.now()
        self._cut((each, what) for each in self._open if (what := each.late(now, self._patience)))
        unsent = {each: each.transport.get_write_buffer_size() for each in self._open}
        total = sum(unsent.values())
        if total > self._max_unsent_bytes:
            self._cut((each, "memory") for each in _largest(unsent, total - self._max_unsent_bytes))

    def _cut(self, late: Iterable[tuple[Connection, str]]) -> None:
        for connection, what in list(late):
            self.cut += 1
            self._log.info("client cut off", waited_for=what)
            connection.transport.abort()
            self._open.discard(connection)

    def _close_an_idle_one(self) -> bool:
        idle = [each for each in self._open if each.is_idle]
        if not idle:
            return False
        oldest = min(idle, key=lambda each: each.idle_since)
        oldest.transport.abort()
        self._open.discard(oldest)
        return True


def _largest(sizes: dict[Connection, int], excess: int) -> Iterable[Connection]:
    for connection in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            return
        excess -= sizes[connection]
        yield connection
