"""A lean HTTP/1.1 client: it must not be what is measured."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Request = bytes
Check = Callable[[int, bytes], bool]


@dataclass
class Sample:
    """What one run of requests took."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    wrong: int = 0

    @property
    def rate(self) -> float:
        """Requests a second that were answered rightly."""
        return (len(self.latencies) - self.wrong) / self.seconds

    def percentile(self, percent: float) -> float:
        """A latency in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1_000


def request(method: str, path: str, host: str, token: str, body: bytes = b"") -> Request:
    """A request as it goes over the wire."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {token}",
    ]
    if body:
        lines += ["Content-Type: application/scim+json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def drive(
    address: tuple[str, int], connections: int, requests: Iterator[tuple[Request, Check]]
) -> Sample:
    """Send all requests over so many connections, and check each answer."""
    sample = Sample()
    began = time.perf_counter()
    await asyncio.gather(*(_connection(address, requests, sample) for _ in range(connections)))
    sample.seconds = time.perf_counter() - began
    return sample


async def _connection(
    address: tuple[str, int], requests: Iterator[tuple[Request, Check]], sample: Sample
) -> None:
    reader, writer = await asyncio.open_connection(*address)
    try:
        for sent, check in requests:
            began = time.perf_counter()
            writer.write(sent)
            status, body = await _answer(reader)
            sample.latencies.append(time.perf_counter() - began)
            sample.wrong += not check(status, body)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lowered = head.lower()
    length = 0
    at = lowered.find(b"content-length:")
    if at >= 0:
        length = int(head[at + 15 : head.index(b"\r\n", at)])
    elif b"transfer-encoding: chunked" in lowered:
        raise AssertionError("an answer in chunks is not read by this client")
    return int(head[9:12]), await reader.readexactly(length) if length else b""
