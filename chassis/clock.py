"""The clock, a parameter of everything that depends on the time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

Clock = Callable[[], datetime]
"""Returns the current time, with a time zone."""


def system_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)


MAX_CLOCK_OFFSET: Final = timedelta(seconds=1)
"""The tolerated difference between the clocks of two machines."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """How far this machine's clock is ahead of another one, in seconds.

    The other clock was read at an unknown moment between sending a request and its response. So
    half of that time is the uncertainty of the offset.
    """

    offset: float
    uncertainty: float

    @classmethod
    def between(cls, sent: datetime, other: datetime, received: datetime) -> "ClockReading":
        """Compare a response that contains the `other` time with this machine's times."""
        half = (received - sent) / 2
        return cls((sent + half - other).total_seconds(), abs(half.total_seconds()))

    @property
    def differs(self) -> bool:
        """Whether the clocks certainly differ by more than MAX_CLOCK_OFFSET."""
        return abs(self.offset) - self.uncertainty > MAX_CLOCK_OFFSET.total_seconds()
