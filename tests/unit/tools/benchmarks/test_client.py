"""The load client over real sockets: its counts and its parser of responses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import repeat

import pytest

from tools.benchmarks.client import Bound, Item, Sample, drive, parse, request

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BYE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def answering(*answers: bytes | None) -> AsyncIterator[tuple[str, int]]:
    """A server that gives these responses in turn and closes the connection for None."""
    left = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = next(left)
                if answer is None:
                    return
                writer.write(answer)
                if b"close" in answer:
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


def greetings() -> Iterator[Item]:
    sent = request("GET", "/", "host", "token")
    return repeat((sent, lambda status, body: (status, body) == (200, b"hello")))


async def run(address: tuple[str, int], count: int, seconds: float = 10) -> Sample:
    return await drive(address, 1, greetings(), Bound(count, seconds))


async def test_wrong_responses_are_counted_but_not_in_rate():
    async with answering(HELLO, ERROR, HELLO, ERROR) as address:
        sample = await run(address, 4)

    assert (len(sample.latencies), sample.wrong) == (4, 2)
    assert sample.first_wrong == "500 b''"
    assert sample.rate == 2 / sample.seconds


async def test_lost_connection_counts_as_wrong_and_is_reopened():
    async with answering(HELLO, None, HELLO) as address:
        sample = await run(address, 3)

    assert (len(sample.latencies), sample.wrong) == (3, 1)
    assert sample.first_wrong.startswith("the connection was lost")


async def test_client_reconnects_after_server_closes_connection():
    async with answering(BYE, HELLO, BYE) as address:
        sample = await run(address, 3)

    assert (len(sample.latencies), sample.wrong) == (3, 0)


async def test_run_ends_at_time_limit():
    async with answering(*[HELLO] * 1_000_000) as address:
        sample = await run(address, 1_000_000, seconds=0.05)

    assert 0 < len(sample.latencies) < 1_000_000
    assert sample.wrong == 0


CHUNKS = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
)
NOTHING = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "parsed"),
    [
        (HELLO, (200, b"hello", True)),
        (CHUNKS, (201, b"hello", True)),
        (NOTHING, (204, b"", False)),
    ],
)
def test_response_is_parsed_only_when_complete(answer: bytes, parsed: tuple[int, bytes, bool]):
    assert parse(answer) == parsed
    assert {parse(answer[:end]) for end in range(len(answer))} == {None}
