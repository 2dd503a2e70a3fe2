"""How the time of a function grows with its input: ratios of CPU times, never seconds."""

import time
from collections.abc import Callable
from typing import Any, Final

FACTOR: Final = 8
LIMIT: Final = 20.0
"""Eight times the input takes 8 times as long if the work is linear, 64 if it is quadratic."""
_READINGS: Final = 5

Run = Callable[[Any], object]


def growth(run: Run, small: object, large: object) -> float:
    """How many times longer a function takes for the larger input; the best of several readings."""
    best_small = min(reading(run, small) for _ in range(_READINGS))
    best_large = min(reading(run, large) for _ in range(_READINGS))
    return best_large / max(best_small, 1)


def reading(run: Run, argument: object) -> int:
    """The nanoseconds of CPU time in this thread: what else the machine does is not in it."""
    start = time.thread_time_ns()
    run(argument)
    return time.thread_time_ns() - start
