"""The heads of requests in memory: bounded for each request, for each source and in total."""

from typing import Final

from chassis.observability.metrics import Metrics

MAX_HEAD_BYTES: Final = 64 * 1024
"""The size limit of a request line with its header fields. The edge accepts 60 KiB."""
HELD_BYTES: Final = 16 * 1024 * 1024
"""The limit for all heads over SMALL_BYTES; one source has half. Parsing triples the size."""
SMALL_BYTES: Final = 4 * 1024
"""Smaller heads are always accepted: all connections together have 8 MiB of them at most."""

TOO_LARGE: Final = 431
FULL: Final = 503

_END: Final = b"\r\n\r\n"


class Heads:
    """The bytes of heads over SMALL_BYTES, from their first byte until they are answered.

    A request keeps its head in memory until it is answered, and anybody can send one. The limits
    on connections and slots bound the number of heads, but not their bytes.
    """

    def __init__(self, limit: int = HELD_BYTES) -> None:
        self._limit = limit
        self._of: dict[str, int] = {}
        self.held = 0
        self.refused = 0

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.gauge(
            "http_server_buffered_header_bytes",
            "Request headers over 4 KiB in memory.",
            lambda: self.held,
        )
        metrics.count(
            "http_server_headers_rejected",
            "Requests rejected because of the size of their headers (431), or of all (503).",
            lambda: self.refused,
        )

    def hold(self, source: str, size: int) -> bool:
        """Count more bytes of a source, if there is room for them."""
        of_source = self._of.get(source, 0) + size
        if self.held + size > self._limit or of_source > self._limit // 2:
            return False
        self.held += size
        self._of[source] = of_source
        return True

    def release(self, source: str, size: int) -> None:
        """Release bytes of a source."""
        self.held -= size
        left = self._of[source] - size
        if left:
            self._of[source] = left
        else:
            del self._of[source]


class Head:
    """The bytes of heads that one connection has in memory."""

    __slots__ = ("_end_of_last", "_heads", "_held", "_size", "_source")

    def __init__(self, heads: Heads, source: str) -> None:
        self._heads = heads
        self._source = source
        self._size = 0
        self._held = 0
        self._end_of_last = b""

    def receive(self, data: bytes) -> int:
        """Count bytes that belong to no body; the status of the refusal, or 0.

        Bytes that were read in one piece are not refused as too large: the parser may have a
        better reason to refuse them, and the head may end in them.
        """
        if self._size > MAX_HEAD_BYTES:
            self._heads.refused += 1
            return TOO_LARGE
        self._size += len(data) if len(data) <= SMALL_BYTES else self._up_to_end(data)
        self._end_of_last = data[-3:]
        if self._size <= SMALL_BYTES:
            return 0
        return self._hold()

    def pipelined(self, data: bytes) -> int:
        """Count bytes that hold several requests; the status of the refusal, or 0."""
        self._size = max(self._size, len(data))
        return self._hold() if self._size > SMALL_BYTES else 0

    def release(self) -> None:
        """Release all bytes: every request is answered, or the connection has ended."""
        self._size = 0
        if self._held:
            self._heads.release(self._source, self._held)
            self._held = 0

    def _hold(self) -> int:
        if not self._heads.hold(self._source, self._size - self._held):
            self._heads.refused += 1
            return FULL
        self._held = self._size
        return 0

    def _up_to_end(self, data: bytes) -> int:
        """How many bytes belong to the head, as a body may follow."""
        end = (self._end_of_last + data).find(_END)
        return len(data) if end < 0 else end
