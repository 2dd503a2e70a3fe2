"""Request heads: bounded in memory for each request, for each source and in total."""

from typing import Final

from chassis.observability.metrics import Metrics
from gateway.limits.byte_budget import ByteBudget

MAX_HEAD_BYTES: Final = 64 * 1024
"""The size limit of a request line with its header fields. The edge accepts 60 KiB."""
LIMIT_BYTES: Final = 16 * 1024 * 1024
"""The limit for all heads over SMALL_BYTES; one source has half. Parsing triples the size."""
SMALL_BYTES: Final = 4 * 1024
"""Smaller heads are always accepted: those of all connections together take at most 8 MiB."""

TOO_LARGE: Final = 431
FULL: Final = 503

_END: Final = b"\r\n\r\n"


class HeadMemory:
    """Limits the memory of heads over SMALL_BYTES; one source has at most half of it.

    A request keeps its head in memory until it is answered, and clients without a key can send one.
    The limits on connections and slots bound the number of heads, but not their bytes.
    """

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self.budget = ByteBudget(limit)
        self.rejected = 0

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.gauge(
            "http_server_buffered_header_bytes",
            "Request headers over 4 KiB in memory.",
            lambda: self.budget.in_use,
        )
        metrics.counter(
            "http_server_headers_rejected",
            "Requests rejected because of the size of their headers (431), or of all (503).",
            lambda: self.rejected,
        )


class HeadReservation:
    """The memory that the heads of one connection use."""

    __slots__ = ("_acquired", "_end_of_last", "_memory", "_size", "_source")

    def __init__(self, memory: HeadMemory, source: str) -> None:
        self._memory = memory
        self._source = source
        self._size = 0
        self._acquired = 0
        self._end_of_last = b""

    def receive(self, data: bytes) -> int:
        """Count bytes that belong to no body; return 0, or the status of a rejection.

        The size is checked before the new bytes are counted: the head may end in them, or the
        parser may have a better reason to refuse them.
        """
        if self._size > MAX_HEAD_BYTES:
            self._memory.rejected += 1
            return TOO_LARGE
        self._size += len(data) if len(data) <= SMALL_BYTES else self._up_to_end(data)
        self._end_of_last = data[-3:]
        if self._size <= SMALL_BYTES:
            return 0
        return self._acquire()

    def receive_pipelined(self, data: bytes) -> int:
        """Count bytes with several requests in them; return 0, or the status of a rejection."""
        self._size = max(self._size, len(data))
        return self._acquire() if self._size > SMALL_BYTES else 0

    def release(self) -> None:
        """Release all bytes: every request is answered, or the connection has ended."""
        self._size = 0
        if self._acquired:
            self._memory.budget.release(self._source, self._acquired)
            self._acquired = 0

    def _acquire(self) -> int:
        if not self._memory.budget.acquire(self._source, self._size - self._acquired):
            self._memory.rejected += 1
            return FULL
        self._acquired = self._size
        return 0

    def _up_to_end(self, data: bytes) -> int:
        """The number of bytes that belong to the head; a body may follow it."""
        end = (self._end_of_last + data).find(_END)
        return len(data) if end < 0 else end
