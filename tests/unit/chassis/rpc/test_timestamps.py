"""Conversion between times and protobuf timestamps."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import InvalidField
from chassis.rpc.timestamps import read_time, to_timestamp


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 3, 1, 12, 30, 45, 123456, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_timestamp_is_that_of_protobuf_and_is_read_back(time: datetime):
    expected = Timestamp()
    expected.FromDatetime(time)

    assert to_timestamp(time) == expected
    assert read_time("time", to_timestamp(time)) == time


@pytest.mark.parametrize("seconds", [-62_135_596_801, 253_402_300_800, 2**62])
def test_timestamp_outside_the_years_1_to_9999_is_refused(seconds: int):
    with pytest.raises(InvalidField, match="start_time: is not a time"):
        read_time("start_time", Timestamp(seconds=seconds))
