"""Durations and times as texts."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.portal.models import times
from gateway.portal.models.times import ago, duration

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7 * 3600 + 12 * 60 + 59, "7 h 12 min"),
        (86_400, "1 day"),
        (86_400 * 3 + 3600 * 4, "3 days 4 h"),
        (-5, "0 s"),
    ],
)
def test_duration_has_two_units_and_is_rounded_down(seconds: int, text: str):
    assert times.duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (43 * 60 + 59, "43 minutes ago"),
        (7200, "2 hours ago"),
        (86_400 * 2, "2 days ago"),
    ],
)
def test_ago_gives_the_largest_unit(seconds: int, text: str):
    assert times.ago(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        ({"seconds": 40}, "40 s"),
        ({"hours": 7, "minutes": 12, "seconds": 59}, "7 h 12 min"),
        ({"hours": 8}, "8 h"),
        ({"days": 3, "hours": 4}, "3 days 4 h"),
        ({"seconds": -5}, "0 s"),
    ],
)
def test_duration_has_the_two_largest_units(span: dict, text: str):
    assert duration(timedelta(**span)) == text


def test_ago_is_relative_to_now():
    assert ago(NOW - timedelta(minutes=43), NOW) == "43 minutes ago"
    assert ago(NOW - timedelta(hours=1), NOW) == "1 hour ago"
    assert ago(NOW + timedelta(seconds=3), NOW) == "just now"
