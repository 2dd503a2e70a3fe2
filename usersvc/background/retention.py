"""Forgetting, behind the requests' backs, what has been kept for long enough."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from chassis.clock import Clock
from chassis.concurrency.waiting import wait_for_event
from chassis.errors import DatabaseUnavailable
from chassis.observability.log import Logger

EVERY_SECONDS: Final = 60.0
BATCHES: Final = 50
"""How often in a row a pass goes on with one thing: what is over by then waits for the next one."""

Step: TypeAlias = Callable[[datetime], Awaitable[int]]
"""Removes some of what is over at a time; 0 when nothing is left of it."""


async def trim(
    steps: Mapping[str, Step],
    clock: Clock,
    log: Logger,
    stop: asyncio.Event,
    every_seconds: float = EVERY_SECONDS,
) -> None:
    """Trim each of the things every minute, until told to stop.

    Every replica does, and repeats a minute later what failed. An unexpected error of one thing
    is raised once all others are trimmed.
    """
    while not await wait_for_event(stop, every_seconds):
        faults: list[Exception] = []
        for what, step in steps.items():
            try:
                await trim_once(step, clock)
            except DatabaseUnavailable as error:
                log.warning(
                    "retention failed", target=what, error_type=type(error.__cause__).__name__
                )
            except Exception as error:  # noqa: BLE001 - it is raised below
                log.warning("retention failed", target=what, error_type=type(error).__name__)
                faults.append(error)
        if faults:
            raise ExceptionGroup("retention failed", faults)


async def trim_once(step: Step, clock: Clock) -> None:
    """Remove what is over of one thing, in batches, up to a limit."""
    for _ in range(BATCHES):
        if not await step(clock()):
            return
