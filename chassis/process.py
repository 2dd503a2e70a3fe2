"""A process: runs until it is told to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

Stop = asyncio.Event
"""Set once the process is to end."""


def run(main: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
    """Run a process until it ends by itself or SIGTERM or SIGINT asks it to."""
    uvloop.run(_until_told(main))


async def _until_told(main: Callable[[Stop], Awaitable[None]]) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(stop)
