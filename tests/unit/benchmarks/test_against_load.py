"""Requests in waves over real sockets: when the next wave is sent, and which responses end it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import repeat

import pytest

from tools.benchmarks.against.load import WrongResponseError, connected, send_in_waves
from tools.benchmarks.client import Item, request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
ITEM: Item = (
    request("GET", "/", "host", "token"),
    lambda status, body: (status, body) == (200, b"ok"),
)


class Server:
    """A server that responds as often as the test permits, and counts the received requests."""

    def __init__(self, response: bytes | None = OK) -> None:
        self.response = response
        self.received = 0
        self.arrived = asyncio.Condition()
        self.permits = asyncio.Semaphore(0)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                async with self.arrived:
                    self.received += 1
                    self.arrived.notify_all()
                await self.permits.acquire()
                if self.response is None:
                    return
                writer.write(self.response)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def wait_for_requests(self, number: int) -> None:
        async with self.arrived:
            await self.arrived.wait_for(lambda: self.received >= number)

    def respond(self, number: int) -> None:
        for _ in range(number):
            self.permits.release()


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[tuple[str, int]]:
    started = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    async with started:
        yield started.sockets[0].getsockname()


async def test_wave_is_sent_after_all_responses_to_the_previous_wave():
    server = Server()
    async with listening(server) as address, connected(address, 3) as connections:
        waves = asyncio.create_task(send_in_waves(connections, repeat(ITEM), 7))
        await server.wait_for_requests(3)
        server.respond(2)
        await asyncio.sleep(0)
        assert server.received == 3

        server.respond(1)
        await server.wait_for_requests(6)
        server.respond(3)
        await server.wait_for_requests(7)
        server.respond(1)
        await waves

    assert server.received == 7


@pytest.mark.parametrize(
    ("response", "text"),
    [(ERROR, "wrong response: 500"), (None, "the connection was lost")],
)
async def test_a_wrong_or_missing_response_is_refused(response: bytes | None, text: str):
    server = Server(response)
    server.respond(10)
    async with listening(server) as address, connected(address, 2) as connections:
        with pytest.raises(WrongResponseError, match=text):
            await send_in_waves(connections, repeat(ITEM), 2)


async def test_missing_response_fails_after_the_time_limit():
    async with listening(Server()) as address, connected(address, 1) as connections:
        with pytest.raises(WrongResponseError, match="took longer"):
            await send_in_waves(connections, repeat(ITEM), 1, seconds=0.05)
