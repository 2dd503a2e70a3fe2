"""How the time of a regular expression grows with the text, told from noise by ratios only."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.regexes.attacks import Attack, attacks

FACTOR: Final = 8
LIMIT: Final = 20.0
"""Eight times the text takes 8 times as long where the work is linear, 64 where it is quadratic."""
_SMALLEST: Final = 8
_LARGEST: Final = 2_048
_READABLE: Final = 200_000
"""The nanoseconds from which a reading is compared at all: the clock's noise is far below it."""
_READINGS: Final = 5

Run = Callable[[Any], object]


def slow_attacks(pattern: re.Pattern[Any], method: str) -> Iterator[Attack]:
    """The attacks under which a method of a pattern takes more than linear time."""
    run = _run(pattern, method)
    as_bytes = isinstance(pattern.pattern, bytes)
    for attack in attacks(pattern):
        if _is_slow(run, attack, as_bytes):
            yield attack


def _run(pattern: re.Pattern[Any], method: str) -> Run:
    if method == "sub":
        nothing = b"" if isinstance(pattern.pattern, bytes) else ""
        return lambda text: pattern.sub(nothing, text)
    return getattr(pattern, method)


def _is_slow(run: Run, attack: Attack, as_bytes: bool) -> bool:
    # The text grows step by step: an exponential pattern is found before it takes for ever.
    known: dict[int, int] = {}
    n = _SMALLEST
    while n <= _LARGEST:
        known[n] = _reading(run, _text(attack, n, as_bytes))
        before = known.get(n // FACTOR)
        if known[n] > _READABLE and (before is None or known[n] > LIMIT * before):
            return _growth(run, attack, as_bytes, n) > LIMIT
        n *= 2
    return False


def _growth(run: Run, attack: Attack, as_bytes: bool, n: int) -> float:
    small, large = (_text(attack, each, as_bytes) for each in (max(n // FACTOR, 1), n))
    best_small = min(_reading(run, small) for _ in range(_READINGS))
    best_large = min(_reading(run, large) for _ in range(_READINGS))
    return best_large / max(best_small, 1)


def _text(attack: Attack, n: int, as_bytes: bool) -> str | bytes:
    text = attack.text(n)
    return text.encode("latin-1", "replace") if as_bytes else text


def _reading(run: Run, text: str | bytes) -> int:
    """The CPU time of this thread: what else the machine does is not in it."""
    start = time.thread_time_ns()
    run(text)
    return time.thread_time_ns() - start
