"""The life of a process: private memory, signals and exit codes."""

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
"""How many new objects trigger a collection of the youngest generation."""
OTHER_DESCRIPTORS: Final = 256
"""The file descriptors that a process keeps for other things than its clients' connections: calls
to other services, the database, files."""
_PR_SET_DUMPABLE: Final = 4  # prctl(2)

Stop = asyncio.Event
"""An event that is set when the process has to stop."""


def keep_memory_private() -> None:
    """Prevent core dumps, and access to the memory by other processes of the same user.

    The memory contains keys and passwords. Root (CAP_SYS_PTRACE) keeps access, for profilers.
    Refuses (StartError) to start without this protection.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise StartError("prctl(PR_SET_DUMPABLE) failed: other processes could read the memory")


def allow_connections(wanted: int) -> int:
    """Raise the limit of open files for `wanted` connections. Returns how many of them it allows.

    They are fewer if the hard limit, which only root may raise, is too low (RLIMIT_NOFILE).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return min(wanted, limit - min(OTHER_DESCRIPTORS, limit // 2))


def run(main: Callable[[Stop], Coroutine[Any, Any, None]]) -> None:
    """Run `main` until it returns; SIGTERM and SIGINT set its `Stop` event.

    Exits with 1 and prints the reasons if it raises StartError.
    """
    _tune_garbage_collection()
    reasons: list[str] = []
    try:
        uvloop.run(_run_until_stopped(main))
    except* StartError as errors:
        reasons += _messages(errors)
    if reasons:
        sys.exit("; ".join(reasons))


def _tune_garbage_collection() -> None:
    """Exclude imported objects from garbage collection: they stay, and a scan blocks the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


def _messages(errors: BaseExceptionGroup[StartError]) -> list[str]:
    messages: list[str] = []
    for error in errors.exceptions:
        messages += _messages(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return messages


async def _run_until_stopped(main: Callable[[Stop], Awaitable[None]]) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(stop)
