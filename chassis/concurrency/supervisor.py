"""Supervision of a process's long-lived tasks: restarts, metrics and orderly shutdown."""

import asyncio
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from chassis.concurrency.waiting import wait_for_event
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics

FIRST_DELAY_SECONDS: Final = 0.1
MAX_DELAY_SECONDS: Final = 30.0
HEALTHY_SECONDS: Final = 10.0
"""A run of at least this duration is healthy and resets the count of consecutive failures."""
MAX_CONSECUTIVE_FAILURES: Final = 3
"""After this many failures of a required task the process is not ready."""
END_SECONDS: Final = 15.0
"""How long a task may drain: enough for two calls or statements, each within its time limit."""

Run = Callable[[], Awaitable[None]]
Jitter = Callable[[float, float], float]


class Task:
    """One long-lived task, created by `Supervisor.start`."""

    def __init__(
        self,
        name: str,
        run: Run,
        log: Logger,
        *,
        drain_event: asyncio.Event | None,
        is_required: bool,
        jitter: Jitter,
    ) -> None:
        self.name = name
        self.failures = 0
        self.restarts = 0
        self.is_waiting = False
        self.is_required = is_required
        self._run = run
        self._log = log
        self._drain_event = drain_event
        self._jitter = jitter
        self._failure_streak = 0
        self._is_cancelled = False
        self._started = time.monotonic()
        self._task = asyncio.create_task(self._supervise(), name=name)

    @property
    def keeps_failing(self) -> bool:
        """Whether the task failed MAX_CONSECUTIVE_FAILURES times without a healthy run since."""
        is_healthy = not self.is_waiting and self._run_seconds() >= HEALTHY_SECONDS
        return self._failure_streak >= MAX_CONSECUTIVE_FAILURES and not is_healthy

    async def end(self, seconds: float = END_SECONDS) -> None:
        """End the task: let it drain for `seconds` if it has `drain_event`, then cancel it.

        Its errors are logged, not raised.
        """
        if self._drain_event is not None:
            self._drain_event.set()
            await asyncio.wait([self._task], timeout=seconds)
            if not self._task.done():
                self._log.error("task not drained", task=self.name, limit_seconds=seconds)
        self._is_cancelled = True
        self._task.cancel()
        await asyncio.wait([self._task], timeout=seconds)
        if not self._task.done():
            self._log.error("task not ended", task=self.name, limit_seconds=seconds)

    async def _supervise(self) -> None:
        while True:
            self._started = time.monotonic()
            error = await self._failure()
            if error is None:
                return
            if self._is_cancelled:  # the task failed while it was being ended
                self._record(error)
                return
            await self._back_off(error)
            self.restarts += 1

    async def _failure(self) -> BaseException | None:
        """Run the task once. Returns its error, or None if it drained."""
        try:
            await self._run()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error  # a future that the task awaited was cancelled, not the task
        except Exception as error:  # noqa: BLE001 - no error of a task ends the process
            return error
        if self._drain_event is not None and self._drain_event.is_set():
            return None
        return RuntimeError("The task returned before it was asked to drain.")

    async def _back_off(self, error: BaseException) -> None:
        if self._run_seconds() >= HEALTHY_SECONDS:
            self._failure_streak = 0
        self._failure_streak += 1
        exponent = min(self._failure_streak - 1, 20)
        delay = min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0**exponent)
        # Jitter, so that replicas that failed together do not retry together.
        delay *= self._jitter(0.5, 1.0)
        self._record(error, retry_seconds=round(delay, 3))
        self.is_waiting = True
        try:
            if self._drain_event is None or self._drain_event.is_set():
                await asyncio.sleep(delay)
            else:  # the event ends the delay, so that the task drains at once
                await wait_for_event(self._drain_event, delay)
        finally:
            self.is_waiting = False

    def _record(self, error: BaseException, **fields: float) -> None:
        self.failures += 1
        self._log.error(
            "task failed", task=self.name, failures=self.failures, **_error_fields(error), **fields
        )

    def _run_seconds(self) -> float:
        return time.monotonic() - self._started


class Supervisor:
    """Runs tasks until its `async with` block ends; restarts those that fail or return early.

    The delay before a restart doubles with each consecutive failure, up to MAX_DELAY_SECONDS. A
    failure of one task ends neither the process nor another task.
    """

    def __init__(self, log: Logger, jitter: Jitter = random.uniform) -> None:
        self.log = log
        self._jitter = jitter
        self._tasks: dict[str, Task] = {}

    async def __aenter__(self) -> "Supervisor":
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the tasks, in the reverse order of their start."""
        for task in reversed(self._tasks.values()):
            await task.end()

    def start(
        self,
        name: str,
        run: Run,
        *,
        drain_event: asyncio.Event | None = None,
        is_required: bool = False,
    ) -> Task:
        """Start a task; each restart calls `run` again, so keep lasting state outside `run`.

        `drain_event` asks the task to drain and return; a return before that is a failure. A task
        without it runs until it is cancelled. The process is not ready while a task that
        `is_required` keeps failing. Raises ValueError for a name that is in use.
        """
        if name in self._tasks:
            raise ValueError(f"A task with the name {name} exists already.")
        task = Task(
            name,
            run,
            self.log,
            drain_event=drain_event,
            is_required=is_required,
            jitter=self._jitter,
        )
        self._tasks[name] = task
        return task

    @property
    def tasks(self) -> Mapping[str, Task]:
        """All tasks that were started, by name."""
        return self._tasks

    @property
    def ready(self) -> bool:
        """Whether no required task keeps failing."""
        return not any(task.is_required and task.keeps_failing for task in self._tasks.values())

    def observe(self, metrics: Metrics) -> None:
        """Publish the failures and restarts of each task, and whether it waits for a restart."""
        for name, description, read in (
            ("background_task_failures", "Failures of a task.", lambda task: task.failures),
            ("background_task_restarts", "Restarts of a task.", lambda task: task.restarts),
        ):
            metrics.counters(name, description, "task", self._reader(read))
        metrics.gauges(
            "background_task_waiting",
            "1 while a failed task waits for its restart.",
            "task",
            self._reader(lambda task: int(task.is_waiting)),
        )

    def _reader(self, read: Callable[[Task], int]) -> Callable[[], Mapping[str, int]]:
        # Iterates over a copy, because a metrics scrape runs in another thread.
        return lambda: {task.name: read(task) for task in list(self._tasks.values())}


def _error_fields(error: BaseException) -> dict[str, str]:
    """The log fields of an error: its type and traceback.

    The message is omitted, because it may quote personal data such as email addresses.
    """
    return {"error_type": type(error).__name__, "traceback": "".join(_lines(error))}


def _lines(error: BaseException) -> Iterator[str]:
    if error.__cause__ is not None:
        yield from _lines(error.__cause__)
        yield "The direct cause of:\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield "One of the group:\n"
            yield from _lines(each)
