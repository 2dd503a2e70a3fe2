"""Durations and times as texts."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.portal.models.times import ago, duration

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (40, "40 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (8 * 3600, "8 h"),
        (7 * 3600 + 12 * 60 + 59, "7 h 12 min"),
        (86_400, "1 day"),
        (86_400 * 3 + 3600 * 4, "3 days 4 h"),
        (-5, "0 s"),
    ],
)
def test_duration_has_the_two_largest_units_rounded_down(seconds: int, text: str):
    assert duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (43 * 60 + 59, "43 minutes ago"),
        (3600, "1 hour ago"),
        (7200, "2 hours ago"),
        (86_400 * 2, "2 days ago"),
    ],
)
def test_ago_gives_the_largest_unit(seconds: int, text: str):
    assert ago(NOW - timedelta(seconds=seconds), NOW) == text
