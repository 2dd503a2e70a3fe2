"""The geometry and summaries of charts."""

from datetime import UTC, datetime, timedelta

import pytest
from cloudacademy.users.v1.activity_pb2 import ActivityCount
from hypothesis import given
from hypothesis import strategies as st

from chassis.rpc.timestamps import to_timestamp
from gateway.portal.models import charts
from gateway.portal.models.charts import hours_chart

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def counts(*numbers: tuple[int, int]) -> list[ActivityCount]:
    return [
        ActivityCount(
            start_time=to_timestamp(NOW - timedelta(hours=len(numbers) - 1 - index)),
            succeeded=succeeded,
            refused=refused,
        )
        for index, (succeeded, refused) in enumerate(numbers)
    ]


def before(**span: float):
    return to_timestamp(NOW - timedelta(**span))


def test_chart_without_counts_has_no_bars_and_says_why():
    chart = charts.days_chart(None)
    assert (chart.bars, chart.largest) == ((), 0)
    assert chart.summary == "The log has too many entries to count right now."


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=31))
def test_bars_stay_inside_the_chart_and_are_visible(numbers: list[tuple[int, int]]):
    chart = charts.hours_chart(counts(*numbers))
    assert len(chart.bars) == len(numbers)
    for bar, (succeeded, refused) in zip(chart.bars, numbers, strict=True):
        assert 0 <= bar.x <= bar.x + bar.width <= chart.width + 0.01
        assert -0.01 <= bar.up_y <= chart.baseline
        assert bar.up_y + bar.up_height == pytest.approx(chart.baseline, abs=0.02)
        assert bar.down_y + bar.down_height <= chart.depth + 1.02
        assert (bar.up_height > 0, bar.down_height > 0) == (succeeded > 0, refused > 0)


def test_bars_above_and_below_have_one_scale():
    (bar,) = charts.hours_chart(counts((20, 10))).bars
    assert bar.up_height == pytest.approx(2 * bar.down_height)


def test_chart_summary_gives_totals_and_peak():
    assert charts.hours_chart(counts((0, 0))).summary == "No changes."
    summary = charts.hours_chart(counts((1, 0), (1200, 3))).summary
    assert summary == "1,201 changes, 3 refused. Peak at 12:00 UTC: 1,203."
    assert charts.days_chart(counts((1, 0))).summary == "1 change, 0 refused. Peak on 1 Mar: 1."


def test_bars_stay_inside_the_chart():
    counts = [
        ActivityCount(start_time=before(hours=24 - hour), succeeded=hour * 1_000, refused=hour)
        for hour in range(24)
    ]
    chart = hours_chart(counts)
    assert len(chart.bars) == 24
    for bar in chart.bars:
        assert bar.up_y >= 0
        assert bar.x >= 0
        assert bar.x + bar.width <= chart.width
        assert bar.down_y + bar.down_height <= chart.height
    assert chart.bars[0].up_height == 0
    assert chart.bars[1].down_height > 0
