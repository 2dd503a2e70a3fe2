"""A network between two processes that can be cut, and made slow."""

import asyncio
import contextlib
from dataclasses import dataclass, field

CHUNK = 64 * 1024


@dataclass
class Proxy:
    """Passes bytes on to `target`; `cut` swallows them, `delay` seconds keep each way waiting."""

    target: tuple[str, int]
    delay: float = 0.0
    cut: bool = False
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1_000)

        async def write() -> None:
            while True:
                due, chunk = await waiting.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not chunk:
                    return
                if not self.cut:
                    sink.write(chunk)
                    await sink.drain()

        writing = asyncio.create_task(write())
        with contextlib.suppress(OSError):
            while chunk := await source.read(CHUNK):
                await waiting.put((loop.time() + self.delay, chunk))
            await waiting.put((loop.time() + self.delay, b""))
            await writing
        writing.cancel()
        sink.close()
