"""The load client over real sockets: its counts and its parser of responses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import repeat

import pytest

from tools.benchmarks.client import Bound, Item, Sample, drive, parse, request

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def responding(*responses: bytes | None) -> AsyncIterator[tuple[str, int]]:
    """A server that gives these responses in turn and closes the connection for None."""
    remaining = iter(responses)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                response = next(remaining)
                if response is None:
                    return
                writer.write(response)
                if b"close" in response:
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


def items() -> Iterator[Item]:
    encoded = request("GET", "/", "host", "token")
    return repeat((encoded, lambda status, body: (status, body) == (200, b"hello")))


async def run(address: tuple[str, int], count: int, seconds: float = 10) -> Sample:
    return await drive(address, 1, items(), Bound(count, seconds))


async def test_wrong_responses_are_counted_but_not_in_rate():
    async with responding(HELLO, ERROR, HELLO, ERROR) as address:
        sample = await run(address, 4)

    assert (len(sample.latencies), sample.wrong) == (4, 2)
    assert sample.first_wrong == "500 b''"
    assert sample.rate == 2 / sample.seconds


async def test_lost_connection_counts_as_wrong_and_is_reopened():
    async with responding(HELLO, None, HELLO) as address:
        sample = await run(address, 3)

    assert (len(sample.latencies), sample.wrong) == (3, 1)
    assert sample.first_wrong.startswith("the connection was lost")


async def test_client_reconnects_after_server_closes_connection():
    async with responding(CLOSING, HELLO, CLOSING) as address:
        sample = await run(address, 3)

    assert (len(sample.latencies), sample.wrong) == (3, 0)


async def test_run_ends_at_time_limit():
    async with responding(*[HELLO] * 1_000_000) as address:
        sample = await run(address, 1_000_000, seconds=0.05)

    assert 0 < len(sample.latencies) < 1_000_000
    assert sample.wrong == 0


CHUNKS = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
)
NO_CONTENT = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("response", "parsed"),
    [
        (HELLO, (200, b"hello", True)),
        (CHUNKS, (201, b"hello", True)),
        (NO_CONTENT, (204, b"", False)),
    ],
)
def test_response_is_parsed_only_when_complete(response: bytes, parsed: tuple[int, bytes, bool]):
    assert parse(response) == parsed
    assert {parse(response[:end]) for end in range(len(response))} == {None}
