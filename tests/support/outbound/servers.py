"""TLS servers and an HTTP proxy on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from chassis.config.settings import CertificateFiles

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A server that records the head and the body of each request."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    _received: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def record(self, request: bytes) -> None:
        """Add a request that was received."""
        async with self._received:
            self.requests.append(request)
            self._received.notify_all()

    async def wait_for(self, number: int) -> None:
        """Wait until so many requests have been received."""
        async with self._received:
            await self._received.wait_for(lambda: len(self.requests) >= number)


def server_context(files: CertificateFiles) -> ssl.SSLContext:
    """The TLS settings of a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


@asynccontextmanager
async def tls_server(
    files: CertificateFiles, *parts: bytes, wait: asyncio.Event | None = None
) -> AsyncIterator[Server]:
    """Run an HTTPS server that sends `parts` in response to each request.

    With `wait` it keeps the connection open after them until the event is set."""
    server = Server()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.record(await read_request(reader))
        for part in parts:
            writer.write(part)
            await writer.drain()
        if wait is not None:
            await wait.wait()

    async with running(server, respond, server_context(files)):
        yield server


@asynccontextmanager
async def running(
    server: Server, handle: Handler, context: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Run a server on a free port, and end its connections at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
                await handle(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", server.port, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The head of a request and its body by Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A complete response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def connect_proxy(target_port: int, *, refused: frozenset[str] = frozenset()):
    """Run an HTTP proxy that connects every tunnel to a port of this machine.

    It refuses the hosts `refused`."""
    server = Server()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await server.record(head)
        host = head.split()[1].decode().rpartition(":")[0]
        if host in refused:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", target_port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))
        finally:
            other_writer.close()

    async with running(server, tunnel):
        yield server


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
