"""Absolute deadlines, which callers send with their calls.

gRPC sends a duration, and the server counts from the arrival of the call. If the network delays a
call, the server would execute it although its caller has given up, and may have repeated it or
sent another change. So callers send a point in time as well.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from chassis.clock import MAX_CLOCK_OFFSET, Clock
from chassis.errors import InvalidField

DEADLINE_KEY: Final = "x-end-by"
"""The metadata key. The value is in milliseconds since 1970-01-01 UTC."""
CLOCK_SKEW: Final = MAX_CLOCK_OFFSET
"""The tolerated difference between clocks. A caller waits longer than the deadline by this."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def deadline_metadata(seconds: float, clock: Clock) -> tuple[str, str]:
    """The metadata of a call whose caller gives up after `seconds`."""
    deadline = clock() + timedelta(seconds=seconds) - CLOCK_SKEW
    return DEADLINE_KEY, str((deadline - _EPOCH) // _MILLISECOND)


def seconds_left(value: str, clock: Clock) -> float:
    """The time until the deadline in a metadata value. Refuses (InvalidField) other values."""
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise InvalidField(DEADLINE_KEY, "is not a number of milliseconds since 1970")
    return (_EPOCH + int(value) * _MILLISECOND - clock()).total_seconds()
