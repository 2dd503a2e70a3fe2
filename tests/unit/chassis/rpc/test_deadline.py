from datetime import UTC, datetime, timedelta

import pytest

from chassis.rpc.deadline import CLOCK_SKEW, deadline_metadata, seconds_left

NOON = datetime(2026, 11, 27, 12, 0, 0, 123_456, tzinfo=UTC)


def test_a_call_has_to_end_sooner_than_its_caller_gives_up_by_what_clocks_differ():
    key, value = deadline_metadata(10.0, lambda: NOON)

    assert key == "x-end-by"
    assert value == "1795780809123"
    assert seconds_left(value, lambda: NOON) == pytest.approx(9.0, abs=0.001)


def test_with_a_clock_that_is_late_by_as_much_it_ends_when_the_caller_gives_up():
    _, value = deadline_metadata(10.0, lambda: NOON)

    assert seconds_left(value, lambda: NOON + timedelta(seconds=10) - CLOCK_SKEW) <= 0
