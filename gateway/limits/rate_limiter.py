"""A rate limiter with a token bucket for each name."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_BUCKETS: Final = 10_000
SWEEP_SECONDS: Final = 1.0
PRESSED_SECONDS: Final = 1.0
"""How long a rejection counts as pressure."""

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


class RateLimiter:
    """A token bucket for each name; a token comes back each `1 / per_second` seconds.

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
        """Whether a request was rejected within the last PRESSED_SECONDS."""
        return self._monotonic() < self._pressed_until

    def retry_after(self, name: str, pending: int = 0) -> float:
        """The seconds until `name` has a token after `pending` others; 0 if it has one now.

        A query: it changes nothing. A caller that rejects a request by it calls `note_rejection`.
        """
        now = self._monotonic()
        missing = max(self._full_at.get(name, now), now) - now + pending * self._interval
        return max(0.0, missing - self._most_missing)

    def try_charge(self, name: str) -> float:
        """Charge one token if there is one and return 0; else return the seconds until there is.

        The latter is a rejection: nothing is charged.
        """
        seconds = self.retry_after(name)
        if seconds:
            self.note_rejection()
        else:
            self.charge(name, 1)
        return seconds

    def charge(self, name: str, tokens: int) -> None:
        """Charge tokens whether or not there are any: what is missing has to come back first."""
        now = self._monotonic()
        full_at = max(self._full_at.get(name, now), now) + tokens * self._interval
        self._put(name, full_at, now)

    def refund(self, name: str) -> None:
        """Give a charged token back."""
        if name in self._full_at:
            self._full_at[name] -= self._interval

    def note_rejection(self) -> None:
        """Count a rejected request as pressure."""
        self._pressed_until = self._monotonic() + PRESSED_SECONDS

    def remaining(self, name: str) -> int:
        """The number of tokens that `name` has."""
        now = self._monotonic()
        missing = max(0.0, self._full_at.get(name, now) - now) * self.rate.per_second
        return max(0, int(self.rate.burst - missing + 1e-6))

    def is_full(self, name: str) -> bool:
        """Whether every charged token has come back."""
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
