"""A bell: somebody rings it, once or often, and somebody else hears that it rang."""

import asyncio

from chassis.concurrency.waiting import wait


class Notifier:
    """Tells a waiter how often it rang since the last time; nobody has to listen all the time."""

    def __init__(self) -> None:
        self._rings = 0
        self._woken = asyncio.Event()

    def ring(self) -> None:
        """Let whoever waits go on, and know of this ring."""
        self._rings += 1
        self._woken.set()

    def wake(self) -> None:
        """Let whoever waits go on for another reason."""
        self._woken.set()

    async def heard(self, seconds: float) -> int:
        """Wait until it rings or wakes, for so many seconds at most; how often it rang."""
        await wait(self._woken, seconds)
        self._woken.clear()
        rings, self._rings = self._rings, 0
        return rings
