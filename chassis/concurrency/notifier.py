"""Notifications from several tasks to one that waits."""

import asyncio

from chassis.concurrency.waiting import wait_for_event


class Notifier:
    """Counts notifications for one waiter, including those that arrive while it is not waiting."""

    def __init__(self) -> None:
        self._notifications = 0
        self._woken = asyncio.Event()

    def notify(self) -> None:
        """Count a notification and wake the waiter."""
        self._notifications += 1
        self._woken.set()

    def wake(self) -> None:
        """Wake the waiter without a notification."""
        self._woken.set()

    async def wait(self, seconds: float) -> int:
        """Wait for `notify` or `wake` for at most `seconds`.

        Returns how many notifications came since the last call.
        """
        await wait_for_event(self._woken, seconds)
        self._woken.clear()
        notifications, self._notifications = self._notifications, 0
        return notifications
