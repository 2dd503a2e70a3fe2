"""A rate limiter with a token bucket for each key."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_BUCKETS: Final = 10_000
SWEEP_SECONDS: Final = 1.0

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in tokens per second; a full bucket has `burst` tokens."""

    per_second: float
    burst: int

    @property
    def window(self) -> float:
        """The seconds in which an empty bucket becomes full."""
        return self.burst / self.per_second


class RateLimiter:
    """A token bucket for each key, such as an organization; it gains `per_second` tokens a second.

    A bucket is stored as the time at which it will be full, and removed once it is full. Over
    MAX_BUCKETS the oldest bucket is removed earlier, so that invented keys cannot fill the memory.
    """

    def __init__(self, rate: Rate, monotonic: Monotonic = time.monotonic) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._interval = 1.0 / rate.per_second
        # Times are sums of many intervals: a millionth of a token is a rounding error.
        self._max_missing = rate.window - self._interval * (1 - 1e-6)
        self._full_at: dict[str, float] = {}
        self._swept = monotonic()

    def __len__(self) -> int:
        return len(self._full_at)

    def retry_after(self, key: str) -> float:
        """The seconds until `key` has a token; 0 if it has one now. This charges nothing."""
        now = self._monotonic()
        missing = max(self._full_at.get(key, now), now) - now
        return max(0.0, missing - self._max_missing)

    def try_charge(self, key: str) -> float:
        """Charge one token and return 0, or return the seconds until there is a token.

        In the second case nothing is charged.
        """
        seconds = self.retry_after(key)
        if not seconds:
            self.charge(key, 1)
        return seconds

    def charge(self, key: str, tokens: int) -> None:
        """Charge tokens even if the bucket is empty: later requests wait for the missing tokens."""
        now = self._monotonic()
        full_at = max(self._full_at.get(key, now), now) + tokens * self._interval
        self._store(key, full_at, now)

    def refund(self, key: str) -> None:
        """Return one charged token."""
        if key in self._full_at:
            self._full_at[key] -= self._interval

    def remaining(self, key: str) -> int:
        """The number of tokens that `key` has."""
        now = self._monotonic()
        missing = max(0.0, self._full_at.get(key, now) - now) * self.rate.per_second
        return max(0, int(self.rate.burst - missing + 1e-6))

    def is_full(self, key: str) -> bool:
        """Whether the bucket of `key` is full."""
        return self._full_at.get(key, 0.0) <= self._monotonic()

    def _store(self, key: str, full_at: float, now: float) -> None:
        if key not in self._full_at and len(self._full_at) >= MAX_BUCKETS:
            self._evict(now)
        self._full_at[key] = full_at

    def _evict(self, now: float) -> None:
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        if len(self._full_at) >= MAX_BUCKETS:
            del self._full_at[next(iter(self._full_at))]
