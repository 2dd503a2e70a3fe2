"""A share of the event loop for long tasks, so that they do not starve short calls."""

import asyncio
import time
from typing import Final

_INTERVAL_SECONDS: Final = 0.001
_IDLE_SHARE: Final = 0.05
"""Below this use of an interval by other tasks, nobody waits for the event loop."""


class LoopShare:
    """Paces long tasks to a share of the event loop's time while other tasks use it.

    All tasks that rest on one object have the share together. On an idle event loop they run at
    nearly full speed.
    """

    def __init__(self, share: float) -> None:
        self._others_per_work = 1.0 / share - 1.0
        self._turn = asyncio.Lock()

    async def rest(self, worked_seconds: float) -> None:
        """Wait until the other tasks have had their part of the time, or do not need it."""
        async with self._turn:
            due = worked_seconds * self._others_per_work
            while due > 0.0:
                began, used = time.monotonic(), time.thread_time()
                await asyncio.sleep(_INTERVAL_SECONDS)
                waited = time.monotonic() - began
                if time.thread_time() - used < _IDLE_SHARE * waited:
                    return
                due -= waited
