"""An open-loop load client: the request rate does not depend on the responses."""

import asyncio
import itertools
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tools.benchmarks.client import Check, Request

Item = tuple[Request, Check]
SHEDDING = (429, 503)
TIMEOUT_SECONDS = 20.0
"""Timeout of a response; a later one counts as wrong."""
TICK_SECONDS = 0.002
"""Interval of sending due requests; uvloop busy-waits for timers below a millisecond."""


@dataclass
class Outcome:
    """The results of a load."""

    offered: int = 0
    seconds: float = 0.0
    """Duration of sending."""
    in_time: int = 0
    """Correct responses that arrived within `seconds`."""
    latencies: list[float] = field(default_factory=list)
    """Seconds of correct responses, from the time at which the request was due."""
    shed: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SHEDDING, 0))
    wrong: list[str] = field(default_factory=list)

    @property
    def correct(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Correct responses per second, without those after the end of sending."""
        return self.in_time / self.seconds

    @property
    def unsent(self) -> int:
        """Requests that were never sent because all connections were busy."""
        return self.offered - self.correct - sum(self.shed.values()) - len(self.wrong)

    def percentile(self, percent: float) -> float:
        """A latency percentile of correct responses, in milliseconds."""
        ordered = sorted(self.latencies) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1_000


@dataclass(frozen=True)
class Target:
    """An address to connect to; with `tls`, its name, and the addresses to connect from."""

    address: tuple[str, int]
    tls: ssl.SSLContext | None = None
    name: str | None = None
    sources: tuple[str, ...] = ()
    """Addresses of this machine from which connections come in turn; empty for any."""


class Connections:
    """Connections to one address; each carries one request at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._free: deque[_Connection] = deque()
        self._waiting: deque[tuple[float, Item]] = deque()
        self._open: set[_Connection] = set()
        self._more: Iterator[Item] | None = None
        self.outcome = Outcome()
        self._ends = 0.0

    async def open(self, number: int) -> None:
        """Open `number` connections."""
        loop, target = asyncio.get_running_loop(), self._target
        for index in range(number):
            sources = target.sources
            _, connection = await loop.create_connection(
                lambda: _Connection(self),
                *target.address,
                ssl=target.tls,
                server_hostname=target.name,
                local_addr=(sources[index % len(sources)], 0) if sources else None,
            )
            self._open.add(connection)
            self._free.append(connection)

    def close(self) -> None:
        for connection in self._open:
            connection.close()

    async def keep_busy(self, requests: Iterator[Item], seconds: float) -> Outcome:
        """Send the next request on a connection as soon as the previous one is answered."""
        outcome = self._begin(seconds)
        self._more = requests
        while self._free:
            self._send_more(self._free.popleft())
        await asyncio.sleep(seconds)
        self._more = None
        await self._wait_for_responses()
        return outcome

    async def offer(self, requests: Iterator[Item], rate: float, seconds: float) -> Outcome:
        """Send `rate` requests a second, regardless of their responses."""
        loop = asyncio.get_running_loop()
        outcome = self._begin(seconds)
        due = loop.time()
        while (now := loop.time()) < self._ends:
            while due <= now:
                outcome.offered += 1
                self._send_or_queue((due, next(requests)))
                due += 1 / rate
            await asyncio.sleep(TICK_SECONDS)
        self._waiting.clear()
        await self._wait_for_responses()
        return outcome

    def _begin(self, seconds: float) -> Outcome:
        self._ends = asyncio.get_running_loop().time() + seconds
        self.outcome = Outcome(seconds=seconds)
        return self.outcome

    async def _wait_for_responses(self) -> None:
        loop = asyncio.get_running_loop()
        while any(connection.due for connection in self._open):
            await asyncio.sleep(0.01)
            for connection in self._open:
                connection.time_out(loop.time() - TIMEOUT_SECONDS)

    def _send_more(self, connection: "_Connection") -> None:
        assert self._more is not None
        self.outcome.offered += 1
        connection.send(asyncio.get_running_loop().time(), next(self._more))

    def _send_or_queue(self, waiting: tuple[float, Item]) -> None:
        if self._free:
            self._free.popleft().send(*waiting)
        else:
            self._waiting.append(waiting)

    def record(self, connection: "_Connection", status: int, head: bytes, body: bytes) -> None:
        """Record a response."""
        now, outcome = asyncio.get_running_loop().time(), self.outcome
        if connection.check(status, body):
            outcome.latencies.append(now - connection.due)
            outcome.in_time += now <= self._ends
        elif status in SHEDDING and b"\r\nretry-after:" in head:
            outcome.shed[status] += 1
        else:
            outcome.wrong.append(f"{status} {body[:200]!r}")
        if self._more is not None:
            self._send_more(connection)
        elif self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            connection.due = 0.0
            self._free.append(connection)


class _Connection(asyncio.Protocol):
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._buffer = b""
        self.due = 0.0
        self.check: Check = lambda *_: False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, due: float, item: Item) -> None:
        self.due, (request, self.check) = due, item
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        head = head.lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) >= length:
            self._buffer = body[length:]
            self._connections.record(self, int(head[9:12]), head, body[:length])

    def connection_lost(self, exc: Exception | None) -> None:
        if self.due:
            self._connections.outcome.wrong.append("the connection was lost")
            self.due = 0.0

    def time_out(self, before: float) -> None:
        """Fail a pending request that was due before the given time."""
        if self.due and self.due < before:
            self._connections.outcome.wrong.append("no response")
            self.due = 0.0
            self._transport.abort()

    def close(self) -> None:
        self._transport.close()


def in_turn(sources: list[Iterator[Item]]) -> Iterator[Item]:
    """Take one item of each source in turn, endlessly."""
    return (next(source) for source in itertools.cycle(sources))


@asynccontextmanager
async def connected(target: Target, number: int):
    """Open `number` connections; they are closed at the end."""
    connections = Connections(target)
    await connections.open(number)
    try:
        yield connections
    finally:
        connections.close()
