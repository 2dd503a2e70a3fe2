"""When a batch is flushed."""

import asyncio
from collections.abc import Callable


class FlushTimer:
    """Calls `flush_batch` immediately, or after the batch has lingered.

    The owner keeps the items. It calls `flush` or `linger` after it has added one.
    """

    __slots__ = ("_flush_batch", "_linger_seconds", "_timer")

    def __init__(self, flush_batch: Callable[[], None], linger_seconds: float) -> None:
        self._flush_batch = flush_batch
        self._linger_seconds = linger_seconds
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_lingering(self) -> bool:
        """Whether the batch waits for more items."""
        return self._timer is not None

    def linger(self) -> None:
        """Flush once the first item has lingered for `linger_seconds`."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._linger_seconds, self.flush)

    def flush(self) -> None:
        """Flush now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flush_batch()

    def cancel(self) -> None:
        """Stop lingering without a flush."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
