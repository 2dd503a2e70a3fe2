"""Background deletion of expired rows."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from chassis.concurrency.waiting import wait_for_event
from chassis.errors import DatabaseUnavailable
from chassis.observability.log import Logger

INTERVAL_SECONDS: Final = 60.0
BATCHES: Final = 50
"""The most batches of one step in a pass. Further expired rows wait for the next pass."""

Step: TypeAlias = Callable[[], Awaitable[int]]
"""Deletes a batch of expired rows. Returns the number deleted, 0 when none is left.

The statements compare with the clock of the database, because rows are deleted for all replicas,
and the clock of one replica may be wrong.
"""


async def run_retention(
    steps: Mapping[str, Step],
    log: Logger,
    stop: asyncio.Event,
    interval_seconds: float = INTERVAL_SECONDS,
) -> None:
    """Run every step once a minute until `stop` is set.

    Every replica runs this. If the database is unavailable, the step runs again a minute later. An
    unexpected error is raised after all other steps have run.
    """
    while not await wait_for_event(stop, interval_seconds):
        errors: list[Exception] = []
        for name, step in steps.items():
            try:
                await run_step(step)
            except DatabaseUnavailable as error:
                log.warning(
                    "retention failed", target=name, error_type=type(error.__cause__).__name__
                )
            except Exception as error:  # noqa: BLE001 - it is raised below
                log.warning("retention failed", target=name, error_type=type(error).__name__)
                errors.append(error)
        if errors:
            raise ExceptionGroup("retention failed", errors)


async def run_step(step: Step) -> None:
    """Run one step until no expired row is left, at most BATCHES times."""
    for _ in range(BATCHES):
        if not await step():
            return
