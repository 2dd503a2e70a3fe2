"""A TCP proxy between two processes that can be cut, slowed down or held."""

import asyncio
import contextlib
from dataclasses import dataclass, field

CHUNK = 64 * 1024
RESEND_SECONDS = 0.02
"""Pause between held chunks: TCP also resends lost segments slowly at first."""


@dataclass
class Proxy:
    """Forwards bytes to `target`, delayed by `delay` seconds each way.

    While it is `cut`, bytes are lost; the connection is then aborted, as TCP leaves no gaps. While
    it is held, bytes wait in both directions. They arrive when `deliver` is called, even if their
    sender has timed out meanwhile.
    """

    target: tuple[str, int]
    delay: float = 0.0
    cut: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    forwarded_bytes: int = 0
    """In both directions."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _opened: float = 0.0

    async def start(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self) -> None:
        """Hold all bytes back."""
        self._open.clear()

    def deliver(self) -> None:
        """Forward the held bytes in order, then later ones."""
        self._opened = asyncio.get_running_loop().time()
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        for source, sink in ((reader, target_writer), (target_reader, writer)):
            task = asyncio.create_task(self._forward(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Forward chunks in order, each after its own delay, so that delays do not add up."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1_000)
        reading = asyncio.create_task(self._read(source, queue))
        try:
            await self._write(queue, sink)
        except OSError:  # the receiver is gone
            pass
        finally:
            reading.cancel()
            sink.close()

    async def _read(
        self, source: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # bytes sent before a reset still arrive
            while chunk := await source.read(CHUNK):
                await queue.put((loop.time() + self.delay, chunk))
        await queue.put((loop.time() + self.delay, b""))

    async def _write(
        self, queue: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        loop, lost = asyncio.get_running_loop(), False
        while True:
            due, chunk = await queue.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not self._open.is_set() or due < self._opened:
                await self._open.wait()
                await asyncio.sleep(RESEND_SECONDS)
            lost = lost or self.cut
            if lost and not self.cut:
                sink.transport.abort()
            if not chunk or sink.transport.is_closing():
                return
            if not lost:
                self.forwarded_bytes += len(chunk)
                sink.write(chunk)
                await sink.drain()
