"""A small thread pool with a bounded queue for XML, which is CPU work on untrusted input."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

from gateway.sso.refusals import SignInError

MAX_THREADS: Final = 2
MAX_QUEUED: Final = 64

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class XmlWorker:
    """Runs functions in threads. Raises SignInError (busy) when the queue is full."""

    def __init__(self, threads: int = MAX_THREADS, max_queued: int = MAX_QUEUED) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="saml")
        self._free = threads + max_queued

    async def run(
        self,
        function: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        """Run a function, and return its result. Raises SignInError (busy)."""
        if self._free == 0:
            raise SignInError("busy")
        self._free -= 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(function, *arguments, **named)

        def release(_: "Future[Result]") -> None:
            with suppress(RuntimeError):  # the event loop is closed: the process ends
                loop.call_soon_threadsafe(self._release)

        future.add_done_callback(release)
        try:
            return await asyncio.wrap_future(future)
        finally:
            # Break the reference cycle future → exception → traceback → this frame.
            del future

    def close(self) -> None:
        """Stop the threads and cancel queued functions."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _release(self) -> None:
        self._free += 1
