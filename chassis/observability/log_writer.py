"""A log writer that writes the lines of a busy moment at once."""

import asyncio
import atexit
import contextlib
import threading
from typing import BinaryIO

from chassis.batching.limits import LOG_LINGER_SECONDS


class BufferedLogWriter:
    """The file of a logger; lines that follow each other within LOG_LINGER_SECONDS share a write.

    A line that comes alone is written in the next turn of the event loop. A write costs as much as
    formatting several lines. SIGKILL loses the lines of LOG_LINGER_SECONDS at most.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._scheduled_on: asyncio.AbstractEventLoop | None = None
        self._next_write = 0.0
        atexit.register(self._write_at_exit)

    def write(self, line: bytes) -> None:
        """Add a line."""
        with self._lock:
            self._lines.append(line)

    def flush(self) -> None:
        """Schedule a write; in a thread without an event loop write immediately."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
            return
        if self._scheduled_on is not loop:
            self._scheduled_on = loop
            if loop.time() < self._next_write:
                loop.call_at(self._next_write, self._write_on, loop)
            else:
                loop.call_soon(self._write_on, loop)

    def _write_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled_on = None
        self._next_write = loop.time() + LOG_LINGER_SECONDS
        # Lines that cannot be written are lost: the event loop would log the error, and so on.
        with contextlib.suppress(OSError, ValueError):
            self._write()

    def _write_at_exit(self) -> None:
        # A stream that is closed by now, or whose reader is gone, takes no more lines.
        with contextlib.suppress(OSError, ValueError):
            self._write()

    def _write(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
            if lines:
                _write_all(self._stream, b"".join(lines))
                self._stream.flush()


def _write_all(stream: BinaryIO, data: bytes) -> None:
    """Write all of the data: a signal ends an unbuffered write after a part (POSIX write)."""
    rest = memoryview(data)
    while rest:
        written = stream.write(rest)
        if not written:
            raise BlockingIOError("The log takes no more.")
        rest = rest[written:]
