"""The timer that flushes a batch."""

import asyncio
from collections.abc import Callable


class FlushTimer:
    """Calls `flush_batch` immediately, or after the batch has lingered.

    The owner keeps the items. It calls `flush` or `linger` after it has added one.
    """

    __slots__ = ("_flush_batch", "_linger_seconds", "_timer", "is_lingering")

    def __init__(self, flush_batch: Callable[[], None], linger_seconds: float) -> None:
        self._flush_batch = flush_batch
        self._linger_seconds = linger_seconds
        self._timer: asyncio.TimerHandle | None = None
        self.is_lingering = False
        """Whether the batch waits for more items. An attribute, because every call reads it."""

    def linger(self) -> None:
        """Flush once the first item has lingered for `linger_seconds`."""
        if not self.is_lingering:
            self.is_lingering = True
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._linger_seconds, self.flush)

    def flush(self) -> None:
        """Flush now."""
        if self.is_lingering:
            self.cancel()
        self._flush_batch()

    def cancel(self) -> None:
        """Stop lingering without a flush."""
        self.is_lingering = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
