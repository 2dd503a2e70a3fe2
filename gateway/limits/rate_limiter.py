"""How often something may happen for each of many: token buckets."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_BUCKETS: Final = 10_000
SWEEP_SECONDS: Final = 1.0
PRESSED_SECONDS: Final = 1.0

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second in the long run, and `burst` of them at once after a rest."""

    per_second: float
    burst: int

    @property
    def window(self) -> float:
        """The seconds in which an empty bucket fills up."""
        return self.burst / self.per_second


class Buckets:
    """A bucket of tokens for each name; a token comes back each `1 / per_second` seconds.

    A bucket is kept as the moment at which it will be full again, and forgotten
    once it is. Of more than MAX_BUCKETS the oldest is forgotten before: memory is
    bounded, whoever invents names.
    """

    def __init__(self, rate: Rate, monotonic: Monotonic = time.monotonic) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._interval = 1.0 / rate.per_second
        # Moments are sums of many intervals: a millionth of a token is rounding.
        self._most_missing = rate.window - self._interval * (1 - 1e-6)
        self._pressed_until = 0.0
        self._full_at: dict[str, float] = {}
        self._swept = monotonic()

    def __len__(self) -> int:
        return len(self._full_at)

    @property
    def is_pressed(self) -> bool:
        """Whether somebody had to wait within the last second."""
        return self._monotonic() < self._pressed_until

    def wait(self, name: str, coming: int = 0) -> float:
        """The seconds until there is a token after as many as are coming; 0 if there is one."""
        now = self._monotonic()
        missing = max(self._full_at.get(name, now), now) - now + coming * self._interval
        wait = missing - self._most_missing
        if wait <= 0.0:
            return 0.0
        self._pressed_until = now + PRESSED_SECONDS
        return wait

    def take(self, name: str) -> float:
        """Take a token; the seconds until there is one, and nothing taken, if there is none."""
        wait = self.wait(name)
        if not wait:
            self.owe(name, 1)
        return wait

    def owe(self, name: str, tokens: int) -> None:
        """Take tokens whether or not there are any: what is missing has to come back first."""
        now = self._monotonic()
        full_at = max(self._full_at.get(name, now), now) + tokens * self._interval
        self._put(name, full_at, now)

    def give_back(self, name: str) -> None:
        """Undo a `take`."""
        if name in self._full_at:
            self._full_at[name] -= self._interval

    def left(self, name: str) -> int:
        """How many tokens there are."""
        now = self._monotonic()
        missing = max(0.0, self._full_at.get(name, now) - now) * self.rate.per_second
        return max(0, int(self.rate.burst - missing + 1e-6))

    def is_full(self, name: str) -> bool:
        """Whether nothing is missing that was taken before."""
        return self._full_at.get(name, 0.0) <= self._monotonic()

    def _put(self, name: str, full_at: float, now: float) -> None:
        if name not in self._full_at and len(self._full_at) >= MAX_BUCKETS:
            self._make_room(now)
        self._full_at[name] = full_at

    def _make_room(self, now: float) -> None:
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}
        if len(self._full_at) >= MAX_BUCKETS:
            del self._full_at[next(iter(self._full_at))]
