"""Lines to a stream; those of a busy moment go out in one write."""

import asyncio
import atexit
import contextlib
import threading
from typing import BinaryIO, Final

GATHER_SECONDS: Final = 0.01
"""How long after a write the next one comes at the earliest."""


class Lines:
    """What a logger takes for a file.

    A line that comes alone is written when the event loop turns next. While lines come fast, those
    of 10 ms share a write, which costs as much as making several of them. Whoever kills the process
    (SIGKILL) loses no more than these.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._due_on: asyncio.AbstractEventLoop | None = None
        self._free = 0.0
        atexit.register(self._write)

    def write(self, line: bytes) -> None:
        """Take a line."""
        with self._lock:
            self._waiting.append(line)

    def flush(self) -> None:
        """Have it written soon; at once where no event loop runs, as in other threads."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
            return
        if self._due_on is not loop:
            self._due_on = loop
            if loop.time() < self._free:
                loop.call_at(self._free, self._write_on, loop)
            else:
                loop.call_soon(self._write_on, loop)

    def _write_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_on = None
        self._free = loop.time() + GATHER_SECONDS
        # What cannot be written is lost: the loop would tell of it by another line, and so on.
        with contextlib.suppress(OSError, ValueError):
            self._write()

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if waiting:
                _write_all(self._stream, b"".join(waiting))
                self._stream.flush()


def _write_all(stream: BinaryIO, data: bytes) -> None:
    """Without a buffer (PYTHONUNBUFFERED) a signal ends a write in the middle, as POSIX has it."""
    rest = memoryview(data)
    while rest:
        written = stream.write(rest)
        if not written:
            raise BlockingIOError("The log takes no more.")
        rest = rest[written:]
