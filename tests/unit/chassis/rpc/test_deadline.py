"""Absolute deadlines in call metadata."""

from datetime import UTC, datetime, timedelta

import pytest

from chassis.rpc.deadline import CLOCK_SKEW, deadline_metadata, seconds_left

NOON = datetime(2026, 11, 27, 12, 0, 0, 123_456, tzinfo=UTC)


def test_deadline_is_earlier_than_the_timeout_by_the_clock_skew():
    key, value = deadline_metadata(10.0, lambda: NOON)

    assert key == "x-end-by"
    assert value == "1795780809123"
    assert seconds_left(value, lambda: NOON) == pytest.approx(9.0, abs=0.001)


def test_call_ends_by_its_timeout_even_if_the_server_clock_is_slow():
    _, value = deadline_metadata(10.0, lambda: NOON)

    assert seconds_left(value, lambda: NOON + timedelta(seconds=10) - CLOCK_SKEW) <= 0
