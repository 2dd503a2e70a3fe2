"""A proxy between a service and its database, with which tests can simulate a partition."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Forwards bytes; after `partition` it holds them back without closing connections."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._connected = asyncio.Event()
        self._connected.set()
        self._writers: list[asyncio.StreamWriter] = []

    def partition(self) -> None:
        self._connected.clear()

    def heal(self) -> None:
        self._connected.set()

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._connected.wait()
        server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, server_writer]
        await asyncio.gather(
            self._forward(reader, server_writer), self._forward(server_reader, writer)
        )

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self._connected.wait()
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def close(self) -> None:
        self.heal()
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def proxy_before(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Run a proxy in front of a database; yields the proxy and a URL that goes through it."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "", parts.port or 0)
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    yield proxy, urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))
    server.close()
    proxy.close()
