"""A worker thread with a bounded queue, for computations that would block the event loop.

Python threads share the interpreter lock, so the thread adds no speed. But the event loop gets the
lock back every SWITCH_SECONDS, so other requests are handled during a long computation.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from time import thread_time
from typing import Final, TypeVar

from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.observability.metrics import Metrics
from gateway.http.cpu_meter import CpuMeter
from gateway.limits.rejections import no_slot

SWITCH_SECONDS: Final = 0.001
"""How long a thread may keep the interpreter lock while another waits (`sys.setswitchinterval`).

A request takes the lock about eight times. With Python's default of 5 ms, a busy worker would add
up to 40 ms to each other request.
"""
WAIT_SECONDS: Final = 5.0
MAX_QUEUE: Final = 64

Result = TypeVar("Result")


class ComputeWorker:
    """Runs pure functions one at a time, in a thread; organizations take turns.

    At most MAX_QUEUE computations wait, and one organization has at most half of them. Refuses
    RejectedError (503) if the queue is full, or after WAIT_SECONDS in it.
    """

    def __init__(self) -> None:
        self._slots = FairSemaphore(1, no_slot, WAIT_SECONDS, queue=MAX_QUEUE)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._computations = 0

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.counter(
            "compute_worker_tasks", "Tasks of the worker thread.", lambda: self._computations
        )
        metrics.gauge(
            "compute_worker_queue_depth",
            "Tasks that wait for the worker thread.",
            lambda: self._slots.waiting,
        )

    async def run(
        self, organization_id: str, function: Callable[[], Result], meter: CpuMeter
    ) -> Result:
        """Run a function in the thread and return its result; add its CPU seconds to `meter`."""
        await self._slots.acquire(organization_id)
        self._computations += 1
        loop = asyncio.get_running_loop()
        future = self._thread.submit(_timed, function, meter)

        def release(_: "Future[Result]") -> None:
            # Release the slot when the thread is free, even if the request was cancelled earlier.
            with suppress(RuntimeError):  # the event loop is closed: the process ends
                loop.call_soon_threadsafe(self._slots.release, organization_id)

        future.add_done_callback(release)
        try:
            return await asyncio.wrap_future(future)
        finally:
            # Break the cycle: both may refer to an exception whose traceback refers to this frame.
            del future, function

    def close(self) -> None:
        """Accept no more computations, and cancel those in the queue."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _timed(function: Callable[[], Result], meter: CpuMeter) -> Result:
    start = thread_time()
    try:
        return function()
    finally:
        meter.seconds += thread_time() - start
