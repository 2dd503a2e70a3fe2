"""The open connections: limited in number and by address, with timeouts for slow clients."""

import asyncio
import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

from chassis.networks import network_of
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from gateway.http.items_by_owner import ItemsByOwner

MAX_CONNECTIONS: Final = 2_000
ADDRESS_DIVISOR: Final = 4
"""By default one address has at most a quarter of the connections."""
TRANSFERS_PER_REQUEST: Final = 8
"""Displace transfers first if the most transfers of a source exceed this multiple of the most
connections of a source that wait for a request."""
SPARE_DESCRIPTORS: Final = 16
"""With fewer free file descriptors, a new connection displaces another one or is rejected.

With none, uvloop closes new connections without a response and without an error.
"""
MAX_UNSENT_BYTES: Final = 64 * 1024 * 1024
SWEEP_SECONDS: Final = 0.5
SMALL_READ_BYTES: Final = 4 * 1024
MAX_SMALL_READS: Final = 3
"""The small reads after which the parser may stop; each 16 KiB of the body allows one more."""

Monotonic = Callable[[], float]


class BodyStream(Protocol):
    """The body of a request while it arrives."""

    total_bytes: int
    """The bytes that arrived, without their framing."""

    def is_eof(self) -> bool:
        """Whether the body is complete."""


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """The timeouts for slow clients, in seconds."""

    head: float = 10.0
    """From the first byte of a request to the end of its headers."""
    body: float = 20.0
    """From the end of the headers to the end of the body: 1 MiB at 50 KiB/s."""
    response: float = 30.0
    """For the client to read the response: a page of 3 MiB at 100 KiB/s."""
    closing: float = 10.0
    """For the client to read the rest after the gateway began to close the connection."""


class Wait(IntEnum):
    """The action of the client for which the gateway waits."""

    NOTHING = 0
    REQUEST = 1
    """To send a request, or the rest of its head: closing the connection loses little."""
    TRANSFER = 2
    """To send the rest of a body, or to read a response."""


_NOTHING, _REQUEST, _TRANSFER = Wait  # an enum lookup costs more than the code that uses it


@dataclass(eq=False, slots=True)
class Connection:
    """An open connection, and the times since which the gateway waits for its client (0.0: not)."""

    transport: asyncio.Transport
    body: BodyStream
    source: str = ""
    """The IPv4 address or the IPv6 /64 of the client."""
    head_since: float = 0.0
    body_since: float = 0.0
    response_since: float = 0.0
    closing_since: float = 0.0
    idle_since: float = field(default_factory=time.monotonic)
    is_chunked: bool = False
    small_reads: int = 0
    """The stops of the parser in a chunked body after reading fewer than SMALL_READ_BYTES."""
    group: Wait = _NOTHING
    """The group of `Connections` that contains it."""
    is_open: bool = True

    def received(self, now: float) -> bool:
        """Record that bytes arrived; return whether they begin a new request."""
        begins = not self.head_since and bool(self.idle_since) and self.body.is_eof()
        if begins:
            self.head_since, self.idle_since = now, 0.0
        return begins

    def head_parsed(self, body: BodyStream, now: float, *, chunked: bool = False) -> None:
        """Record that the headers of a request are complete."""
        self.is_chunked, self.small_reads = chunked, 0
        self.head_since = self.idle_since = 0.0
        self.body, self.body_since = body, now

    def response_written(self, now: float) -> None:
        """Record that the response is written or in the transport's buffer."""
        self.idle_since = now

    def parser_resumed(self, size: int) -> None:
        """Count a resumption of the parser that read `size` bytes of the body."""
        if self.is_chunked and 0 < size < SMALL_READ_BYTES and not self.body.is_eof():
            self.small_reads += 1

    @property
    def has_tiny_chunks(self) -> bool:
        """Whether a body has too many chunks for its size.

        A chunk of one byte costs as much to parse as a large one (RFC 9112 section 7.1). The parser
        stops after some hundred chunks, or some 16 KiB, until these are read.
        """
        return self.small_reads > MAX_SMALL_READS + self.body.total_bytes // (4 * SMALL_READ_BYTES)

    @property
    def wait(self) -> Wait:
        """The action of the client for which the gateway waits."""
        if self.response_since or not self.body.is_eof():
            return _TRANSFER
        return _REQUEST if self.head_since or self.idle_since else _NOTHING

    def exceeded_timeout(self, now: float, timeouts: ClientTimeouts) -> str:
        """The name of the timeout that the client exceeded, or an empty string."""
        if self.transport.is_closing():
            self.closing_since = self.closing_since or now
        waits = (
            ("head", self.head_since, timeouts.head),
            ("body", 0.0 if self.body.is_eof() else self.body_since, timeouts.body),
            ("response", self.response_since, timeouts.response),
            ("closing", self.closing_since, timeouts.closing),
        )
        return next((name for name, since, limit in waits if since and now - since > limit), "")


class Connections:
    """All open connections: at most `limit`, and at most `per_source` of one address or IPv6 /64.

    At the limit, a new connection displaces another one: the oldest that waits for a request or its
    head, of the source with the most such connections. If there is none, or if one source has very
    many transfers, it displaces one that waits for a body or for its client to read. A source at
    its own limit displaces one of its own. So a new connection is refused only while the gateway
    processes a request on every connection that could be displaced. Connections are grouped by what
    they wait for: a search through all of them for each new one would make attacks cheap.
    """

    def __init__(
        self,
        log: Logger,
        *,
        limit: int = MAX_CONNECTIONS,
        per_source: int | None = None,
        timeouts: ClientTimeouts | None = None,
        max_unsent_bytes: int = MAX_UNSENT_BYTES,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._log = log
        self._limit = limit
        self._usable = limit
        """The limit that the file descriptors allow now."""
        self._per_source = limit if per_source is None else per_source
        self._timeouts = timeouts or ClientTimeouts()
        self._max_unsent_bytes = max_unsent_bytes
        self.now = monotonic
        self._open: set[Connection] = set()
        self._by_source: dict[str, int] = {}
        self._waits: dict[Wait, ItemsByOwner[Connection]] = {
            _REQUEST: ItemsByOwner(),
            _TRANSFER: ItemsByOwner(),
        }
        self._max_descriptor = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS
        self._logged_shortages = 0
        self.descriptor_shortages = 0
        """The number of new connections for which there were too few file descriptors."""
        self.rejected = 0
        self.rejected_by_source = 0
        self.displaced = 0
        self.aborted = 0

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.gauge("http_server_open_connections", "Open connections.", lambda: len(self._open))
        metrics.counter(
            "http_server_descriptor_shortages",
            "New connections for which there were too few file descriptors.",
            lambda: self.descriptor_shortages,
        )
        metrics.counters(
            "http_server_connections_rejected",
            "Connections rejected at the limit of all, or of their address.",
            "reason",
            lambda: {"total_limit": self.rejected, "address_limit": self.rejected_by_source},
        )
        metrics.counters(
            "http_server_connections_aborted",
            "Connections aborted for a new one, or because their client was too slow.",
            "reason",
            lambda: {"displaced": self.displaced, "slow_client": self.aborted},
        )

    def admit(self, transport: asyncio.Transport, body: BodyStream) -> Connection | None:
        """Add a new connection; None if it is rejected because there are too many."""
        peer = transport.get_extra_info("peername")
        source = network_of(peer[0]).host if peer else ""
        if self._per_source <= self._by_source.get(source, 0) < self._limit:
            if not self._displace(source):
                self.rejected_by_source += 1
                return None
        elif self._is_full(transport) and not self._displace():
            self.rejected += 1
            return None
        connection = Connection(transport, body, source, idle_since=self.now())
        self._open.add(connection)
        self._by_source[source] = self._by_source.get(source, 0) + 1
        self.sort(connection)
        return connection

    def _is_full(self, transport: asyncio.Transport) -> bool:
        """Whether a new connection has to displace another one.

        It got the lowest free descriptor. A high one means that few are left: no more connections
        may be open at a time, until `_adapt_limit` allows it.
        """
        accepted = transport.get_extra_info("socket")
        if accepted is not None and accepted.fileno() > self._max_descriptor > 0:
            self._usable = min(self._usable, len(self._open))
            self.descriptor_shortages += 1
        return len(self._open) >= self._usable

    def _adapt_limit(self) -> None:
        """Log a shortage of descriptors since the last call; without one, raise the limit again."""
        count = self.descriptor_shortages - self._logged_shortages
        if count:
            self._logged_shortages += count
            self._log.warning("too few descriptors", count=count, connections=self._usable)
        else:
            self._usable = min(self._limit, self._usable + SPARE_DESCRIPTORS // 2)

    def remove(self, connection: Connection) -> None:
        """Remove a connection that has ended; it may be removed already."""
        if not connection.is_open:
            return
        connection.is_open = False
        self._open.discard(connection)
        remaining = self._by_source[connection.source] - 1
        if remaining:
            self._by_source[connection.source] = remaining
        else:
            del self._by_source[connection.source]
        self._move(connection, _NOTHING)

    def received(self, connection: Connection) -> None:
        """Record that bytes arrived on a connection."""
        if connection.received(self.now()) and connection.group is _REQUEST:
            self._waits[_REQUEST].move_to_end(connection.source, connection)

    def parsed(self, connection: Connection) -> None:
        """Update the group of a connection after parsing, which may have completed a body."""
        if connection.group is _TRANSFER:
            self.sort(connection)

    def sort(self, connection: Connection) -> None:
        """Update the group of a connection by what it waits for now."""
        wait = connection.wait
        if wait is not connection.group and connection.is_open:
            self._move(connection, wait)

    def _move(self, connection: Connection, wait: Wait) -> None:
        if connection.group is not _NOTHING:
            self._waits[connection.group].discard(connection.source, connection)
        if wait is not _NOTHING:
            self._waits[wait].add(connection.source, connection)
        connection.group = wait

    def _displace(self, source: str | None = None) -> bool:
        """Abort a waiting connection to make room; with a source, one of that source."""
        for waits in self._by_preference():
            connection = waits.oldest(source)
            if connection is not None:
                self.displaced += 1
                connection.transport.abort()
                self.remove(connection)
                return True
        return False

    def _by_preference(self) -> tuple[ItemsByOwner[Connection], ...]:
        """The two kinds of waiting connections, in the order of displacement.

        A transfer is worth more than a connection without a request. But if one source has very
        many transfers, they are displaced first, or others would be closed before they can send
        a request.
        """
        requests, transfers = self._waits[_REQUEST], self._waits[_TRANSFER]
        if transfers.largest_count > TRANSFERS_PER_REQUEST * requests.largest_count:
            return transfers, requests
        return requests, transfers

    async def watch(self) -> None:
        """Sweep every SWEEP_SECONDS until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()
            self._adapt_limit()

    def abort_tiny_chunks(self, connection: Connection) -> None:
        """Abort a connection whose client sends a body in tiny chunks."""
        if connection.has_tiny_chunks:
            self._abort([(connection, "chunks")])

    def sweep(self) -> None:
        """Abort connections over a timeout; over the limit of unsent bytes, those with the most."""
        now = self.now()
        self._abort(
            (each, timeout)
            for each in self._open
            if (timeout := each.exceeded_timeout(now, self._timeouts))
        )
        unsent = {each: each.transport.get_write_buffer_size() for each in self._open}
        total = sum(unsent.values())
        if total > self._max_unsent_bytes:
            self._abort(
                (each, "memory") for each in _largest(unsent, total - self._max_unsent_bytes)
            )

    def _abort(self, slow: Iterable[tuple[Connection, str]]) -> None:
        for connection, reason in list(slow):
            self.aborted += 1
            self._log.info("connection aborted", reason=reason)
            connection.transport.abort()
            self.remove(connection)


def _largest(sizes: dict[Connection, int], excess: int) -> Iterable[Connection]:
    for connection in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            return
        excess -= sizes[connection]
        yield connection
