"""Times and durations as texts."""

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


def to_datetime(timestamp: Timestamp) -> datetime:
    """A protobuf Timestamp as a datetime in UTC."""
    return timestamp.ToDatetime(tzinfo=UTC)


def iso(time: datetime) -> str:
    """RFC 3339, for the `datetime` attribute of a <time> element."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def absolute(time: datetime) -> str:
    """For example 12 Nov 2026, 14:03 UTC."""
    return f"{time.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def precise(time: datetime) -> str:
    """For example 12 Nov 2026, 14:03:27 UTC."""
    return f"{time.astimezone(UTC):%-d %b %Y, %H:%M:%S} UTC"


def duration(span: timedelta) -> str:
    """For example 7 h 12 min, 3 days 4 h or 40 s: the two largest units, rounded down."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return _two_units(seconds // _HOUR, "h", seconds % _HOUR // _MINUTE, "min")
    days = seconds // _DAY
    return _two_units(days, "day" if days == 1 else "days", seconds % _DAY // _HOUR, "h")


def ago(time: datetime, now: datetime) -> str:
    """For example 43 minutes ago."""
    seconds = int((now - time).total_seconds())
    if seconds < _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return f"{pluralize(seconds // _MINUTE, 'minute')} ago"
    if seconds < _DAY:
        return f"{pluralize(seconds // _HOUR, 'hour')} ago"
    return f"{pluralize(seconds // _DAY, 'day')} ago"


def pluralize(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, for example 1 person or 1,204 people."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _two_units(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first} {unit} {second} {smaller}" if second else f"{first} {unit}"
