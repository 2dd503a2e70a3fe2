"""A network between two processes that can be cut, made slow, and made to deliver late."""

import asyncio
import contextlib
from dataclasses import dataclass, field

CHUNK = 64 * 1024
AGAIN_SECONDS = 0.02
"""Between pieces that were held: whoever sends lost ones again begins with one at a time."""


@dataclass
class Proxy:
    """Passes bytes on to `target`; `delay` seconds keep each way waiting.

    While it is `cut`, what is sent is lost, and with it the connection: TCP leaves no gaps. While
    it is `held`, what is sent waits, both ways, and arrives when that is over, even if whoever sent
    it has given up meanwhile.
    """

    target: tuple[str, int]
    delay: float = 0.0
    cut: bool = False
    port: int = 0
    passed: int = 0
    """How many bytes it has passed on, both ways."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _opened: float = 0.0

    async def start(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self) -> None:
        """Keep whatever is sent."""
        self._open.clear()

    def deliver(self) -> None:
        """Let what was kept arrive, in its order, and pass on what comes then."""
        self._opened = asyncio.get_running_loop().time()
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Bytes in their order, each chunk after its delay, so that the delay adds no queue."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1_000)
        reading = asyncio.create_task(self._read(source, waiting))
        try:
            await self._write(waiting, sink)
        except OSError:  # nobody takes it any more
            pass
        finally:
            reading.cancel()
            sink.close()

    async def _read(
        self, source: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(
            OSError
        ):  # what was sent before a reset is on its way all the same
            while chunk := await source.read(CHUNK):
                await waiting.put((loop.time() + self.delay, chunk))
        await waiting.put((loop.time() + self.delay, b""))

    async def _write(
        self, waiting: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        loop, lost = asyncio.get_running_loop(), False
        while True:
            due, chunk = await waiting.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not self._open.is_set() or due < self._opened:
                await self._open.wait()
                await asyncio.sleep(AGAIN_SECONDS)
            lost = lost or self.cut
            if lost and not self.cut:
                sink.transport.abort()
            if not chunk or sink.transport.is_closing():
                return
            if not lost:
                self.passed += len(chunk)
                sink.write(chunk)
                await sink.drain()
