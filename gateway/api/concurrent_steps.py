"""Runs the steps of a bulk request, those at the same time that do not conflict."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from gateway.api.request import ExtraSlots
from gateway.scim.bulk.schedule import Schedule

MAX_CONCURRENT: Final = 32
"""How many steps of one request run at the same time."""


class ConcurrentSteps:
    """Runs the steps of a schedule with `execute`.

    One step at a time runs in the slot of the request, each further one in an extra slot. So a bulk
    request has no larger share of the gateway than single requests, and while any request waits for
    a slot, its steps run one after another.
    """

    def __init__(
        self,
        schedule: Schedule,
        execute: Callable[[int], Coroutine[Any, Any, None]],
        slots: ExtraSlots,
    ) -> None:
        self._schedule = schedule
        self._execute = execute
        self._slots = slots
        self._running = 0

    async def run(self) -> None:
        """Run all steps; if this is cancelled or a step raises, cancel the others, start none."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._start(tasks)
        finally:
            for _ in range(self._running - 1):  # steps that were cancelled before they began
                self._slots.release()

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        while self._schedule.has_ready and self._may_start():
            self._running += 1
            tasks.create_task(self._run(self._schedule.start(), tasks))

    def _may_start(self) -> bool:
        if not self._running:
            return True
        return self._running < MAX_CONCURRENT and self._slots.try_acquire()

    async def _run(self, step: int, tasks: asyncio.TaskGroup) -> None:
        try:
            await self._slots.measure(self._execute(step))
        finally:
            self._running -= 1
            if self._running:  # the last one leaves the slot of the request
                self._slots.release()
        self._schedule.finish(step)
        self._start(tasks)
