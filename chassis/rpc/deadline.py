"""By when a call must have ended: a moment that travels with the call.

gRPC sends how long a call may take, and a server counts from its arrival. A call that the network
has kept for a while would be carried out all the same, though its caller has given up and perhaps
repeated it, or changed its mind. So callers say when, too.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from chassis.clock import Clock
from chassis.errors import InvalidField

DEADLINE_KEY: Final = "x-end-by"
"""The key in a call's metadata. Its value is in milliseconds since 1970, UTC."""
CLOCK_SKEW: Final = timedelta(seconds=1)
"""How much the clocks of caller and server may differ: a caller waits so much longer."""
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def deadline_metadata(seconds: float, clock: Clock) -> tuple[str, str]:
    """The metadata of a call whose caller gives up after so many seconds."""
    moment = clock() + timedelta(seconds=seconds) - CLOCK_SKEW
    return DEADLINE_KEY, str((moment - _BEGINNING) // _MILLISECOND)


def seconds_left(value: str, clock: Clock) -> float:
    """How long a call with this value may still take. Refuses InvalidField."""
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise InvalidField(DEADLINE_KEY, "is not a number of milliseconds since 1970")
    return (_BEGINNING + int(value) * _MILLISECOND - clock()).total_seconds()
