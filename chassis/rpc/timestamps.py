"""Conversion between times and `google.protobuf.Timestamp`."""

from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import InvalidField

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_timestamp(time: datetime) -> Timestamp:
    """A time with a time zone as a message.

    Computed here, because a page of users has two times a user and `Timestamp.FromDatetime` takes
    several times as long.
    """
    since = time - _EPOCH
    return Timestamp(
        seconds=since.days * 86_400 + since.seconds,
        nanos=since.microseconds * 1_000,
    )


def read_time(field: str, timestamp: Timestamp) -> datetime:
    """The time in a field of a request. Refuses InvalidField unless its year is from 1 to 9999."""
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidField(field, "is not a time between the years 1 and 9999") from None
