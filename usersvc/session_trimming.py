"""Removes sessions, links and assertions that are over, behind the requests' backs."""

import asyncio
from typing import Final

from chassis.clock import Clock
from chassis.refusal import DatabaseUnavailable
from chassis.waiting import wait
from usersvc.session_store import SessionStore

SECONDS: Final = 60.0
BATCHES: Final = 20
"""How often in a row a pass goes on: what is over by then waits for the next one."""


async def trim(store: SessionStore, clock: Clock, stop: asyncio.Event) -> None:
    """Trim every minute until told to stop; a database that is away is asked again later."""
    while not await wait(stop, SECONDS):
        try:
            await trim_once(store, clock)
        except DatabaseUnavailable:
            continue


async def trim_once(store: SessionStore, clock: Clock) -> None:
    """Remove what is over, in batches, up to a limit."""
    for _ in range(BATCHES):
        if not await store.trim(clock()):
            return
