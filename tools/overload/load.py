"""Requests at a rate that does not depend on the answers, and what became of each."""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tools.benchmarks.client import Check, Request

Item = tuple[Request, Check]
BUSY = (429, 503)
PATIENCE_SECONDS = 20.0
"""How long an answer may take; one that takes longer counts as wrong."""
TICK_SECONDS = 0.002
"""How often what is due is sent: uvloop takes less than a millisecond for none, and spins."""


@dataclass
class Outcome:
    """What became of requests."""

    offered: int = 0
    seconds: float = 0.0
    """For how long there were requests."""
    in_time: int = 0
    """Right answers that came within these."""
    latencies: list[float] = field(default_factory=list)
    """Of right answers, from the moment at which the request was due."""
    shed: dict[int, int] = field(default_factory=lambda: dict.fromkeys(BUSY, 0))
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Right answers a second, without those that came when nothing was asked any more."""
        return self.in_time / self.seconds

    @property
    def unsent(self) -> int:
        """What never found a connection: the client's own limit."""
        return self.offered - self.right - sum(self.shed.values()) - len(self.wrong)

    def percentile(self, percent: float) -> float:
        """A latency of right answers in milliseconds."""
        ordered = sorted(self.latencies) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1_000


class Connections:
    """Connections to one address; each carries one request at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._free: deque[_Wire] = deque()
        self._waiting: deque[tuple[float, Item]] = deque()
        self._open: set[_Wire] = set()
        self._more: Iterator[Item] | None = None
        self.outcome = Outcome()
        self._ends = 0.0

    async def open(self, number: int) -> None:
        """Have so many."""
        loop = asyncio.get_running_loop()
        for _ in range(number):
            _, wire = await loop.create_connection(lambda: _Wire(self), *self._address)
            self._open.add(wire)
            self._free.append(wire)

    def close(self) -> None:
        for wire in self._open:
            wire.close()

    async def keep_busy(self, requests: Iterator[Item], seconds: float) -> Outcome:
        """Send the next request over a connection as soon as the one before it is answered."""
        outcome = self._begin(seconds)
        self._more = requests
        while self._free:
            self._send_more(self._free.popleft())
        await asyncio.sleep(seconds)
        self._more = None
        await self._answers()
        return outcome

    async def offer(self, requests: Iterator[Item], rate: float, seconds: float) -> Outcome:
        """Send so many requests a second, whatever becomes of them."""
        loop = asyncio.get_running_loop()
        outcome = self._begin(seconds)
        due = loop.time()
        while (now := loop.time()) < self._ends:
            while due <= now:
                outcome.offered += 1
                self._give((due, next(requests)))
                due += 1 / rate
            await asyncio.sleep(TICK_SECONDS)
        self._waiting.clear()
        await self._answers()
        return outcome

    def _begin(self, seconds: float) -> Outcome:
        self._ends = asyncio.get_running_loop().time() + seconds
        self.outcome = Outcome(seconds=seconds)
        return self.outcome

    async def _answers(self) -> None:
        loop = asyncio.get_running_loop()
        while any(wire.due for wire in self._open):
            await asyncio.sleep(0.01)
            for wire in self._open:
                wire.give_up(loop.time() - PATIENCE_SECONDS)

    def _send_more(self, wire: "_Wire") -> None:
        assert self._more is not None
        self.outcome.offered += 1
        wire.send(asyncio.get_running_loop().time(), next(self._more))

    def _give(self, waiting: tuple[float, Item]) -> None:
        if self._free:
            self._free.popleft().send(*waiting)
        else:
            self._waiting.append(waiting)

    def judge(self, wire: "_Wire", status: int, head: bytes, body: bytes) -> None:
        """Note an answer; status 0 when there was none."""
        now, outcome = asyncio.get_running_loop().time(), self.outcome
        if wire.check(status, body):
            outcome.latencies.append(now - wire.due)
            outcome.in_time += now <= self._ends
        elif status in BUSY and b"\r\nretry-after:" in head:
            outcome.shed[status] += 1
        else:
            outcome.wrong.append(f"{status} {body[:200]!r}")
        if self._more is not None:
            self._send_more(wire)
        elif self._waiting:
            wire.send(*self._waiting.popleft())
        else:
            wire.due = 0.0
            self._free.append(wire)


class _Wire(asyncio.Protocol):
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
            self._connections.judge(self, int(head[9:12]), head, body[:length])

    def connection_lost(self, exc: Exception | None) -> None:
        if self.due:
            self._connections.outcome.wrong.append("the connection was lost")
            self.due = 0.0

    def give_up(self, before: float) -> None:
        """Wait no longer for an answer to what was sent before a moment."""
        if self.due and self.due < before:
            self._connections.outcome.wrong.append("no answer")
            self.due = 0.0
            self._transport.abort()

    def close(self) -> None:
        self._transport.close()


def in_turn(sources: list[Iterator[Item]]) -> Iterator[Item]:
    """One of each, again and again."""
    return (next(source) for source in itertools.cycle(sources))


@asynccontextmanager
async def connected(address: tuple[str, int], number: int):
    """So many connections."""
    connections = Connections(address)
    await connections.open(number)
    try:
        yield connections
    finally:
        connections.close()
