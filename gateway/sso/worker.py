"""Threads for XML, few and with a short queue: it blocks, and anybody may send some."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from gateway.sso.refusals import SignInError

THREADS: Final = 2
MAX_WAITING: Final = 64

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class XmlWorker:
    """Runs functions in threads. Refuses (busy) when too many wait already."""

    def __init__(self, threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="saml")
        self._room = threads + max_waiting

    async def run(
        self,
        function: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        """The function's result."""
        if self._room == 0:
            raise SignInError("busy")
        self._room -= 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(function, *arguments, **named)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        try:
            return await asyncio.wrap_future(future)
        finally:
            # It holds the exception whose traceback holds this frame: a cycle.
            del future

    def close(self) -> None:
        """Take nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self) -> None:
        self._room += 1
