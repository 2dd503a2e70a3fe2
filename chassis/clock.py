"""The time, as a parameter."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is, with a time zone."""


def system_clock() -> datetime:
    """The time of this machine in UTC."""
    return datetime.now(UTC)
