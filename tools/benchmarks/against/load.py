"""Requests in waves: one on each connection, and the next wave when all responses have arrived.

If each connection continued after its own response, the number of requests that the service can
batch would depend on which requests coincide. Such a pattern lasts for minutes; on a busy machine
it changed the CPU time of a GET by a quarter. With waves every round batches alike.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from tools.benchmarks.client import Item, parse


class WrongResponseError(Exception):
    """A response is wrong or missing; the text describes the problem."""


class Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._response: asyncio.Future[tuple[int, bytes]] | None = None

    async def send(self, item: Item) -> None:
        """Send a request and wait for its response. Raises WrongResponseError for a wrong one."""
        sent, check = item
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(sent)
        status, body = await self._response
        if not check(status, body):
            raise WrongResponseError(f"wrong response: {status} {body[:200]!r}")

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        parsed = parse(self._buffer)
        if parsed is not None and self._response is not None:
            self._buffer = b""
            self._response.set_result(parsed[:2])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(WrongResponseError(f"the connection was lost: {exc}"))


@asynccontextmanager
async def connected(address: tuple[str, int], number: int) -> AsyncIterator[list[Connection]]:
    """Open `number` connections; they are closed at the end."""
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    try:
        for _ in range(number):
            connections.append((await loop.create_connection(Connection, *address))[1])
        yield connections
    finally:
        for each in connections:
            each.close()


async def send_in_waves(
    connections: Sequence[Connection], items: Iterator[Item], requests: int, seconds: float = 120.0
) -> None:
    """Send `requests` requests; the last wave may be smaller.

    Raises WrongResponseError for a wrong response, or if all take longer than `seconds`.
    """
    chosen = itertools.islice(items, requests)
    try:
        async with asyncio.timeout(seconds):
            while wave := list(itertools.islice(chosen, len(connections))):
                pairs = zip(connections, wave, strict=False)
                await asyncio.gather(*(connection.send(item) for connection, item in pairs))
    except TimeoutError:
        raise WrongResponseError(f"{requests} requests took longer than {seconds:g} s") from None
