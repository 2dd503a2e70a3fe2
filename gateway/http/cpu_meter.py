"""Measures the CPU time of one request."""

from collections.abc import Coroutine, Generator
from time import thread_time
from types import coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class CpuMeter:
    """Adds up the CPU seconds of a coroutine, and those of the worker thread on its behalf."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    @coroutine
    def measure(self, measured: Coroutine[Any, Any, Result]) -> Generator[Any, Any, Result]:
        """Await a coroutine and count the CPU time between its suspensions.

        An event loop runs one step of one task at a time, so the CPU clock of the thread measures
        each step. Time in which the coroutine waits is not counted.
        """
        resume: Any = measured.send
        value: Any = None
        while True:
            start = thread_time()
            try:
                awaited = resume(value)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            finally:
                self.seconds += thread_time() - start
                # Break the cycle: the traceback of an exception refers to this frame.
                value = None
            try:
                value = yield awaited
                resume = measured.send
            except BaseException as error:  # noqa: BLE001 - also cancellation
                value, resume = error, measured.throw
            finally:
                del awaited  # same cycle: a future may refer to an exception
