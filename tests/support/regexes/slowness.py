"""Finds attacks under which the time of a regular expression grows faster than the text."""

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.support.growth import FACTOR, LIMIT, Run, ratio, reading
from tests.support.regexes.attacks import Attack, attacks

_SMALLEST: Final = 8
_LARGEST: Final = 2_048
_MEASURABLE: Final = 200_000
"""The smallest reading that is compared, in nanoseconds; far above the clock's noise."""


def slow_attacks(pattern: re.Pattern[Any], method: str) -> Iterator[Attack]:
    """The attacks under which a method of a pattern takes more than linear time."""
    run = _run(pattern, method)
    as_bytes = isinstance(pattern.pattern, bytes)
    for attack in attacks(pattern):
        if _is_slow(run, attack, as_bytes):
            yield attack


def _run(pattern: re.Pattern[Any], method: str) -> Run:
    if method == "sub":
        replacement = b"" if isinstance(pattern.pattern, bytes) else ""
        return lambda text: pattern.sub(replacement, text)
    return getattr(pattern, method)


def _is_slow(run: Run, attack: Attack, as_bytes: bool) -> bool:
    # The text grows step by step: an exponential pattern is found before it hangs.
    readings: dict[int, int] = {}
    n = _SMALLEST
    while n <= _LARGEST:
        readings[n] = reading(run, _text(attack, n, as_bytes))
        before = readings.get(n // FACTOR)
        if readings[n] > _MEASURABLE and (before is None or readings[n] > LIMIT * before):
            small, large = (_text(attack, each, as_bytes) for each in (max(n // FACTOR, 1), n))
            if ratio(run, small, large) > LIMIT:
                return True
        n *= 2
    return False


def _text(attack: Attack, n: int, as_bytes: bool) -> str | bytes:
    text = attack.text(n)
    return text.encode("latin-1", "replace") if as_bytes else text
