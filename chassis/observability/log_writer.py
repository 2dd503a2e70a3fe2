"""A log writer that batches lines: a write costs as much as formatting several lines."""

import asyncio
import atexit
import contextlib
import threading
from typing import BinaryIO

from chassis.batching.limits import LOG_LINGER_SECONDS


class BufferedLogWriter:
    """The file of a logger. Lines within LOG_LINGER_SECONDS of each other share a write.

    A line after a pause is written in the next iteration of the event loop. SIGKILL loses at most
    the lines of the last LOG_LINGER_SECONDS.
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
        """Schedule a write. In a thread without an event loop, write immediately."""
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
        # Drop lines that cannot be written. The event loop would log the error, which fails again.
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
    """Write all data. A signal can end an unbuffered write after a part of it (POSIX write)."""
    remaining = memoryview(data)
    while remaining:
        written = stream.write(remaining)
        if not written:
            raise BlockingIOError("The log file accepts no more data.")
        remaining = remaining[written:]
