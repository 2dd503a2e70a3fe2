"""Waiting that an event cuts short."""

import asyncio


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, for so many seconds at most; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
