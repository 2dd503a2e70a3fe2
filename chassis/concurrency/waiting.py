"""Waiting for an event: with a time limit, or beside other work."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event for at most `seconds`; returns whether it was set in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def work_until_event(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work`, and wait for the event, which cancels the work. Raises an error of the work."""
    tasks = working, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        await waiting
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
