"""Forgetting, in the background, what has been kept for long enough."""

import asyncio
import contextlib
from typing import Final

from chassis.clock import Clock
from chassis.log import Logger
from usersvc.request_store import RequestStore
from usersvc.requests import KEPT

EVERY_SECONDS: Final = 300.0


async def trim(
    requests: RequestStore,
    clock: Clock,
    log: Logger,
    stop: asyncio.Event,
    every_seconds: float = EVERY_SECONDS,
) -> None:
    """Trim the create requests now and then, until told to stop.

    Every replica does; a time that fails is made up for by the next one.
    """
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_seconds)
        if stop.is_set():
            return
        try:
            await requests.trim(clock() - KEPT)
        except Exception as error:  # noqa: BLE001 - requests are answered all the same
            log.warning("create requests not trimmed", cause=type(error).__name__)
