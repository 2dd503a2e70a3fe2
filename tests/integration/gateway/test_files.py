"""Downloads of files that are sent in parts, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientPayloadError, ClientSession, web

from chassis.config.settings import Address
from chassis.observability import log
from gateway.backend.errors import BackendRefusal
from gateway.http.server import Runner
from gateway.web.download import send
from tests.support import raw_http
from tests.support.waiting import pace

PART = "x" * 64 * 1024
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
FILE_SECONDS, LONG_SECONDS = 0.5, 60.0
UNAVAILABLE = BackendRefusal(503, None, "away", {}, "UNAVAILABLE", {}).error()
END = b"0\r\n\r\n"
"""The end of a chunked response (RFC 9112 section 7.1)."""


class Files:
    """A server that sends one file, and records the error of each download, if any."""

    def __init__(self, parts: int | None, seconds: float, refusal: Exception | None = None) -> None:
        self._parts = parts
        self._seconds = seconds
        self._refusal = refusal
        self.outcomes: asyncio.Queue[Exception | None] = asyncio.Queue()
        app = web.Application()
        app.router.add_get("/", self._file)
        self.runner = Runner(app, log.configure("gateway", "warning"))

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.runner.addresses[0]
        return host, port

    async def _file(self, request: web.Request) -> web.StreamResponse:
        try:
            response = await send(request, {}, self._generate_parts(), self._seconds)
        except Exception as error:
            self.outcomes.put_nowait(error)
            raise
        self.outcomes.put_nowait(None)
        return response

    async def _generate_parts(self) -> AsyncIterator[str]:
        sent = 0
        while sent != self._parts:
            yield PART
            sent += 1
        if self._refusal is not None:
            raise self._refusal


@asynccontextmanager
async def sending(
    parts: int | None, seconds: float = LONG_SECONDS, refusal: Exception | None = None
) -> AsyncIterator[Files]:
    files = Files(parts, seconds, refusal)
    await files.runner.listen(Address("127.0.0.1", 0))
    try:
        yield files
    finally:
        await files.runner.cleanup()


async def slow_reader(files: Files) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection with a small receive buffer."""
    connection = await raw_http.connect(files.address, receive_buffer=4_096)
    connection.send(GET)
    return connection.reader, connection.writer


async def read_slowly(reader: asyncio.StreamReader) -> bytes:
    """The last bytes of a response that is read slowly, in small pieces."""
    last = b""
    try:
        while piece := await reader.read(16_384):
            last = (last + piece)[-len(END) :]
            await pace(0.01)  # a slow reader
    except ConnectionError:
        pass
    return last


async def test_download_arrives_complete():
    async with (
        sending(parts=40) as files,
        ClientSession() as session,
        session.get("http://{}:{}/".format(*files.address)) as response,
    ):
        text = await response.text()

    assert text == 40 * PART


async def test_slow_download_over_its_time_limit_is_aborted():
    async with sending(parts=None, seconds=FILE_SECONDS) as files:
        reader, writer = await slow_reader(files)
        async with asyncio.timeout(10):
            last = await read_slowly(reader)
            error = await files.outcomes.get()
        writer.close()

    assert last not in (b"", END)
    assert error is None


async def test_client_disconnect_during_download_is_no_error():
    async with sending(parts=None) as files:
        reader, writer = await slow_reader(files)
        await reader.readline()
        writer.transport.abort()
        async with asyncio.timeout(10):
            error = await files.outcomes.get()

    assert error is None


async def test_download_that_fails_midway_is_incomplete_to_the_client():
    async with sending(parts=2, refusal=UNAVAILABLE) as files, ClientSession() as session:
        with pytest.raises(ClientPayloadError):
            async with session.get("http://{}:{}/".format(*files.address)) as response:
                await response.read()
        assert await files.outcomes.get() is None


async def test_error_of_the_first_part_is_raised_before_the_response():
    async with sending(parts=0, refusal=UNAVAILABLE) as files, ClientSession() as session:
        async with session.get("http://{}:{}/".format(*files.address)) as response:
            assert response.status == 500
        assert await files.outcomes.get() is UNAVAILABLE
