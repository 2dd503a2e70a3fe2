"""How the CPU time of a function grows with its input.

Tests assert ratios, never seconds. A reading is CPU time of this thread, and only the smallest of
several readings counts, so that other processes on the machine have little influence.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

FACTOR: Final = 8
"""The size of the larger input divided by that of the smaller one."""
LIMIT: Final = 24.0
"""The largest permitted ratio of times. Linear work has the ratio 8, quadratic work 64."""
_MEASURABLE_NANOSECONDS: Final = 3_000_000
"""Ratios of shorter times are mostly noise."""
_READINGS: Final = 3
_ATTEMPTS: Final = 12
"""How often a ratio above the limit is measured again: other processes also use the machine."""
_STEPS: Final = 3
"""The first size that is tried is FACTOR ** _STEPS times smaller than the largest one."""

Run = Callable[[Any], object]
Make = Callable[[int], Any]


@dataclass(frozen=True, slots=True)
class Growth:
    """The measured size, and its time relative to that of an input FACTOR times smaller."""

    size: int
    ratio: float

    @property
    def is_linear(self) -> bool:
        return self.ratio <= LIMIT

    def __str__(self) -> str:
        return f"{FACTOR} times the input, {self.size}, is {self.ratio:.1f} times the work"


def growth(run: Run, make: Make, limit: int) -> Growth:
    """Measure how the time of `run` grows with the inputs from `make`, up to the size `limit`.

    A function whose time at the limit is too short to measure has the ratio 0: it cannot delay
    other requests.
    """
    with _without_collector():
        size = _measurable_size(run, make, limit)
        if size is None:
            return Growth(limit, 0.0)
        return Growth(size, _best_ratio(run, make(size // FACTOR), make(size)))


def ratio(run: Run, small: Any, large: Any) -> float:
    """How many times longer `run` takes for the larger of two inputs."""
    with _without_collector():
        return _best_ratio(run, small, large)


def reading(run: Run, argument: Any) -> int:
    """The nanoseconds of CPU time that one call takes in this thread."""
    start = time.thread_time_ns()
    run(argument)
    return time.thread_time_ns() - start


def _measurable_size(run: Run, make: Make, limit: int) -> int | None:
    """The smallest tried size whose time can be measured, if there is one."""
    for step in range(_STEPS, -1, -1):
        size = limit // FACTOR**step
        if size >= FACTOR and reading(run, make(size)) >= _MEASURABLE_NANOSECONDS:
            return size
    return None


def _best_ratio(run: Run, small: Any, large: Any) -> float:
    """The smallest ratio of several attempts; stops at the first one within the limit."""
    best = float("inf")
    for _ in range(_ATTEMPTS):
        before = min(reading(run, small) for _ in range(_READINGS))
        after = min(reading(run, large) for _ in range(_READINGS))
        best = min(best, after / max(before, 1))
        if best <= LIMIT:
            break
    return best


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the garbage collector from adding time that depends on objects of other tests."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
