"""An HTTP/1.1 client that sends exactly the bytes that a test gives it."""

import asyncio
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from multidict import CIMultiDict

SECONDS = 30.0
"""The time limit for a response; a test that waits longer fails."""


class Response(NamedTuple):
    """A response with a Content-Length."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


class Connection:
    """One TCP connection to an HTTP server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Send these bytes unchanged."""
        self.writer.write(data)

    async def head(self) -> tuple[int, CIMultiDict[str]]:
        """Read the status and headers of the next response, but not its body."""
        async with asyncio.timeout(SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        fields = (line.split(":", 1) for line in lines)
        headers = CIMultiDict((name, value.strip()) for name, value in fields)
        return int(first.split()[1]), headers

    async def response(self) -> Response:
        """Read the next response."""
        status, headers = await self.head()
        async with asyncio.timeout(SECONDS):
            body = await self.reader.readexactly(int(headers["Content-Length"]))
        return Response(status, headers, body)

    def close(self) -> None:
        """Close after the bytes that were sent have left."""
        self.writer.close()

    def abort(self) -> None:
        """Abort the connection."""
        self.writer.transport.abort()


def address_of(url: str) -> tuple[str, int]:
    """The host and port of a URL with an explicit port."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


async def connect(
    address: tuple[str, int],
    *,
    source: str | None = None,
    receive_buffer: int | None = None,
) -> Connection:
    """Connect, from the local address `source` if one is given.

    `receive_buffer` limits the bytes that are received before the test reads them.
    """
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source is not None:
        client.bind((source, 0))
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, address)
    limit = {} if receive_buffer is None else {"limit": receive_buffer}
    return Connection(*await asyncio.open_connection(sock=client, **limit))
