"""Threads for XML, few and with a short queue: it blocks, and anybody may send some."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from gateway.sso.refusals import SignInError

THREADS: Final = 2
MAX_QUEUED: Final = 64

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class XmlWorker:
    """Runs functions in threads. Refuses (busy) when too many wait already."""

    def __init__(self, threads: int = THREADS, max_queued: int = MAX_QUEUED) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="saml")
        self._free = threads + max_queued

    async def run(
        self,
        function: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        """The function's result."""
        if self._free == 0:
            raise SignInError("busy")
        self._free -= 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(function, *arguments, **named)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._release))
        try:
            return await asyncio.wrap_future(future)
        finally:
            # It holds the exception whose traceback holds this frame: a cycle.
            del future

    def close(self) -> None:
        """Take nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _release(self) -> None:
        self._free += 1
