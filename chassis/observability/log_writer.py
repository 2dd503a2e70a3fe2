"""A log writer that batches lines: a write costs as much as formatting several lines."""

import asyncio
import atexit
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from chassis.batching.limits import LOG_LINGER_SECONDS

MAX_QUEUE_BYTES: Final = 1024 * 1024
"""The size limit of the lines that wait to be written; lines above it are dropped."""
WRITE_BYTES: Final = 64 * 1024
"""The size of a write; a longer line has a write of its own."""
RETRY_SECONDS: Final = 0.1
"""The pause after a write that failed or that the output did not accept."""
EXIT_SECONDS: Final = 2.0
"""How long the end of the process waits for the last lines to be written."""


class RawOutput(Protocol):
    """An unbuffered file. A write that would block returns None instead."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Write a part of the data and return its size."""


class BufferedLogWriter:
    """The file of a logger. Lines within LOG_LINGER_SECONDS of each other share a write.

    A line after a pause is written in the next iteration of the event loop. SIGKILL loses at most
    the lines of the last LOG_LINGER_SECONDS.

    Lines that the output does not accept wait in a queue of at most `max_bytes`: nobody reads the
    pipe, or the disk is full. Further lines are dropped and counted. `report` is called with their
    number once all lines of the queue are written.
    """

    def __init__(self, output: RawOutput, *, max_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._output = output
        self._max_bytes = max_bytes
        # Reentrant: a garbage collection while it is held may log the lost exception of a task.
        self._lock = threading.RLock()
        self._lines: deque[bytes] = deque()
        self._unwritten = memoryview(b"")
        self._queue_bytes = 0
        self._is_writing = False
        self._is_broken = False
        self._scheduled_on: asyncio.AbstractEventLoop | None = None
        self._next_write = 0.0
        self._reported = 0
        self.dropped = 0
        """The number of lines that were dropped because the queue was full."""
        self.report: Callable[[int], None] = _report_nothing
        """Called with the number of lines that were dropped since its last call."""
        atexit.register(self._write_at_exit)

    def write(self, line: bytes) -> None:
        """Add a line to the queue, or drop it if the queue is full."""
        with self._lock:
            if self._queue_bytes + len(line) > self._max_bytes:
                self.dropped += 1
            else:
                self._lines.append(line)
                self._queue_bytes += len(line)

    def flush(self) -> None:
        """Schedule a write. In a thread without an event loop, write immediately."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
            return
        if self._scheduled_on is not loop:
            self._schedule(loop)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled_on = loop
        if loop.time() < self._next_write:
            loop.call_at(self._next_write, self._write_on, loop)
        else:
            loop.call_soon(self._write_on, loop)

    def _write_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled_on = None
        is_done = self._write()
        self._next_write = loop.time() + (LOG_LINGER_SECONDS if is_done else RETRY_SECONDS)
        if not is_done and self._scheduled_on is None:
            self._schedule(loop)

    def _write_at_exit(self) -> None:
        deadline = time.monotonic() + EXIT_SECONDS
        while not self._write() and not self._is_broken and time.monotonic() < deadline:
            time.sleep(LOG_LINGER_SECONDS)

    def _write(self) -> bool:
        """Write the queue. Returns False if lines are left that the output does not accept."""
        with self._lock:
            if self._is_writing:  # called by a garbage collection during a write
                return True
            self._is_writing = True
            try:
                is_done = self._write_queue()
            finally:
                self._is_writing = False
            count = self.dropped - self._reported if is_done else 0
            self._reported += count
        if count:
            self.report(count)
        return is_done

    def _write_queue(self) -> bool:
        while self._unwritten or self._lines:
            if not self._unwritten:
                self._unwritten = memoryview(self._next_batch())
            try:
                written = self._output.write(self._unwritten) or 0
                self._is_broken = False
            except (OSError, ValueError):  # a full disk, a reader that is gone, a closed file
                written, self._is_broken = 0, True
            if not written:
                return False
            # A signal or the size of a pipe can end a write after a part of it (POSIX write).
            self._unwritten = self._unwritten[written:]
            self._queue_bytes -= written
        return True

    def _next_batch(self) -> bytes:
        batch = [self._lines.popleft()]
        size = len(batch[0])
        while self._lines and size + len(self._lines[0]) <= WRITE_BYTES:
            batch.append(self._lines.popleft())
            size += len(batch[-1])
        return b"".join(batch)


def _report_nothing(_: int) -> None:
    pass
