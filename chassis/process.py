"""A process: runs until it is told to stop."""

import asyncio
import ctypes
import gc
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import uvloop

from chassis.startup import StartError

YOUNG_OBJECTS: Final = 10_000
"""How many more objects there are before the collector looks at the new ones."""
_PR_SET_DUMPABLE: Final = 4  # prctl(2)

Stop = asyncio.Event
"""Set once the process is to end."""


def keep_memory_private() -> None:
    """Let no core dump and no process of the same user show what this one has in its memory.

    Keys and passwords are in it. Root still may look (CAP_SYS_PTRACE), as a profiler has to.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise StartError("prctl(PR_SET_DUMPABLE) was refused: memory could be read")


def run(main: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
    """Run a process until it ends by itself or SIGTERM or SIGINT asks it to.

    One that cannot start (StartError) exits with 1 and its reason.
    """
    _collect_garbage_rarely()
    reasons: list[str] = []
    try:
        uvloop.run(_until_told(main))
    except* StartError as errors:
        reasons += _texts(errors)
    if reasons:
        sys.exit("; ".join(reasons))


def _collect_garbage_rarely() -> None:
    """Spare the collector what was imported, which stays: to look at all of it stops the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


def _texts(errors: BaseExceptionGroup[StartError]) -> list[str]:
    texts: list[str] = []
    for error in errors.exceptions:
        texts += _texts(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return texts


async def _until_told(main: Callable[[Stop], Awaitable[None]]) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(stop)
