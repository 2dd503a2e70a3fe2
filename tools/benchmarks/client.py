"""A small HTTP/1.1 client, so that its own cost does not dominate the measurement."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

Request = bytes
Check = Callable[[int, bytes], bool]
Item = tuple[Request, Check]


@dataclass(frozen=True)
class Bound:
    """The end of a run: a number of requests or of seconds, whichever comes first."""

    requests: int
    seconds: float


@dataclass
class Sample:
    """The measurements of one run."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    wrong: int = 0
    first_wrong: str = ""
    client_seconds: float = 0.0
    """CPU seconds of the client itself."""

    @property
    def rate(self) -> float:
        """Correct responses per second."""
        return (len(self.latencies) - self.wrong) / self.seconds

    def percentile(self, percent: float) -> float:
        """A latency percentile in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1_000

    def record(self, seconds: float, is_correct: bool, response: Callable[[], str]) -> None:
        """Count a response and keep the text of the first wrong one."""
        self.latencies.append(seconds)
        if not is_correct:
            self.first_wrong = self.first_wrong or response()
            self.wrong += 1


def request(method: str, path: str, host: str, token: str, body: bytes = b"") -> Request:
    """The bytes of an HTTP request."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {token}",
    ]
    if body:
        lines += ["Content-Type: application/scim+json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def drive(
    address: tuple[str, int],
    connections: int,
    requests: Iterator[Item],
    bound: Bound,
    sources: Sequence[str] = ("",),
) -> Sample:
    """Send requests over `connections` connections up to a bound and check each response.

    Connections use the local addresses `sources` in turn; the system chooses for an empty one.
    """
    sample = Sample()
    began, cpu = time.perf_counter(), time.process_time()
    bounded = _bounded(requests, bound, began)
    hosts = itertools.islice(itertools.cycle(sources), connections)
    await asyncio.gather(*(_run_connection(address, host, bounded, sample) for host in hosts))
    sample.seconds = time.perf_counter() - began
    sample.client_seconds = time.process_time() - cpu
    return sample


def _bounded(requests: Iterator[Item], bound: Bound, began: float) -> Iterator[Item]:
    for _ in range(bound.requests):
        if time.perf_counter() - began > bound.seconds:
            return
        yield next(requests)


async def _run_connection(
    address: tuple[str, int], source: str, requests: Iterator[Item], sample: Sample
) -> None:
    """Keep one connection busy; reconnect whenever the server closes it."""
    loop = asyncio.get_running_loop()
    more = True
    while more:
        ended = loop.create_future()
        transport, _ = await loop.create_connection(
            lambda ended=ended: _ClientConnection(requests, sample, ended),
            *address,
            local_addr=(source, 0) if source else None,
        )
        try:
            more = await ended
        finally:
            transport.close()


class _ClientConnection(asyncio.Protocol):
    """Sends one request after the other over a connection."""

    def __init__(
        self, requests: Iterator[Item], sample: Sample, ended: "asyncio.Future[bool]"
    ) -> None:
        self._requests = requests
        self._sample = sample
        self._ended = ended
        self._check: Check | None = None
        self._began = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        response = parse(self._buffer)
        if response is None:
            return
        seconds = time.perf_counter() - self._began
        status, body, keep_alive = response
        self._buffer = b""
        check, self._check = self._check, None
        self._sample.record(seconds, check(status, body), lambda: f"{status} {body[:200]!r}")
        if keep_alive:
            self._next()
        else:
            self._end(more=True)

    def connection_lost(self, error: Exception | None) -> None:
        if self._check is not None:
            seconds = time.perf_counter() - self._began
            self._sample.record(seconds, False, lambda: f"the connection was lost: {error}")
        self._end(more=True)

    def _next(self) -> None:
        item = next(self._requests, None)
        if item is None:
            self._end(more=False)
            return
        sent, self._check = item
        self._began = time.perf_counter()
        self._transport.write(sent)

    def _end(self, *, more: bool) -> None:
        if not self._ended.done():
            self._ended.set_result(more)


def parse(buffer: bytes) -> tuple[int, bytes, bool] | None:
    """Status, body and whether the connection stays open; None while the response is incomplete.

    The client sends one request at a time, so the buffer has no other response.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, body = buffer[: end + 2].lower(), buffer[end + 4 :]
    keep_alive = b"\r\nconnection: close" not in head
    if b"\r\ntransfer-encoding: chunked" in head:
        decoded = _decode_chunked(body)
        return None if decoded is None else (int(head[9:12]), decoded, keep_alive)
    at = head.find(b"\r\ncontent-length:")
    length = int(head[at + 17 : head.index(b"\r\n", at + 2)]) if at >= 0 else 0
    return (int(head[9:12]), body, keep_alive) if len(body) >= length else None


def _decode_chunked(body: bytes) -> bytes | None:
    parts, at = [], 0
    while (line := body.find(b"\r\n", at)) >= 0:
        size = int(body[at:line], 16)
        if len(body) < line + 2 + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(body[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    return None
