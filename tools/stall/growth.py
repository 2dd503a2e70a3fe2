"""Whether the work of a function grows no faster than what it is given.

CPU time of this thread is measured, and only ratios of it are judged. A ratio is taken where the
time is well above what a timer resolves; a function that stays below it up to the largest input
that it may get cannot keep anybody waiting.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.support.growth import reading

FACTOR: Final = 4
"""The larger input has so many times the size of the smaller one."""
BOUND: Final = 9.0
"""By how much the work may grow then: linear work by 4, quadratic work by 16."""
CLEAR_NANOSECONDS: Final = 3_000_000
"""A time from which on ratios are no noise."""
REPEATS: Final = 3
ATTEMPTS: Final = 6
"""How often a ratio that is too large is measured again: others use the machine, too."""
STEPS: Final = 5
"""The first size is FACTOR ** STEPS times smaller than the limit."""

Make = Callable[[int], Any]
Read = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Growth:
    """What was measured last: a size, and by how much the work grew up to it."""

    size: int
    ratio: float

    @property
    def is_linear(self) -> bool:
        return self.ratio <= BOUND

    def __str__(self) -> str:
        return f"{FACTOR} times the input, {self.size}, is {self.ratio:.1f} times the work"


def growth(read: Read, make: Make, limit: int) -> Growth:
    """How the work of `read` grows with the inputs that `make` makes, up to the size `limit`."""
    with _without_collector():
        size = _clear_size(read, make, limit)
        if size is None:
            return Growth(limit, 0.0)
        small, large = make(size // FACTOR), make(size)
        ratio = min(_ratios(read, small, large))
    return Growth(size, ratio)


def _clear_size(read: Read, make: Make, limit: int) -> int | None:
    """The first size whose work takes a time that can be measured, if there is one."""
    for step in range(STEPS, -1, -1):
        size = limit // FACTOR**step
        if size >= FACTOR and reading(read, make(size)) >= CLEAR_NANOSECONDS:
            return size
    return None


def _ratios(read: Read, small: Any, large: Any) -> Iterator[float]:
    """Ratios, until one is within the bound."""
    for _ in range(ATTEMPTS):
        before = min(reading(read, small) for _ in range(REPEATS))
        after = min(reading(read, large) for _ in range(REPEATS))
        ratio = after / max(before, 1)
        yield ratio
        if ratio <= BOUND:
            return


@contextmanager
def _without_collector() -> Iterator[None]:
    """The garbage collector looks at more than what the function made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
