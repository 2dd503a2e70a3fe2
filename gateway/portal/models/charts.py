"""The geometry of bar charts: successful changes upwards, refused changes downwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cloudacademy.users.v1.activity_pb2 import ActivityCount

from gateway.portal.models.times import pluralize, to_datetime

WIDTH: Final = 360
UP_HEIGHT: Final = 62
"""The height above the baseline, for successful changes; refused ones use DOWN_HEIGHT below it."""
DOWN_HEIGHT: Final = 26
LABEL_HEIGHT: Final = 20
_GAP: Final = 0.28
_MIN_BAR_HEIGHT: Final = 1.5
"""Keeps the bar of a single change visible beside one of thousands."""

NOT_COUNTED: Final = "The log has too many entries to count right now."


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour or day: the position of its two bars, and its counts."""

    x: float
    width: float
    up_y: float
    up_height: float
    down_height: float
    down_y: float
    start: datetime
    label: str
    succeeded: int
    refused: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A label below the chart."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, ready to render."""

    title: str
    summary: str
    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    largest: int
    width: int = WIDTH
    baseline: int = UP_HEIGHT
    depth: int = UP_HEIGHT + DOWN_HEIGHT
    height: int = UP_HEIGHT + DOWN_HEIGHT + LABEL_HEIGHT


def hours_chart(counts: Sequence[ActivityCount] | None) -> Chart:
    """The last 24 hours, by hour. None (not counted) gives a chart without bars."""
    return _chart("Last 24 hours", "hour", counts, "%-d %b, %H:00", "%H:00", every=6)


def days_chart(counts: Sequence[ActivityCount] | None) -> Chart:
    """The last 30 days, by day. None (not counted) gives a chart without bars."""
    return _chart("Last 30 days", "day", counts, "%-d %b", "%-d %b", every=7)


def _chart(
    title: str,
    unit: str,
    counts: Sequence[ActivityCount] | None,
    label: str,
    tick: str,
    *,
    every: int,
) -> Chart:
    if counts is None:
        return Chart(title, NOT_COUNTED, bars=(), ticks=(), largest=0)
    largest_up = max((count.succeeded for count in counts), default=0)
    largest_down = max((_refused(count) for count in counts), default=0)
    largest = max(largest_up, largest_down)
    scale = _scale(largest_up, largest_down)
    step = WIDTH / max(1, len(counts))
    bars = [_bar(index, step, count, scale, label) for index, count in enumerate(counts)]
    ticks = [
        Tick(round(bar.x + bar.width / 2, 1), bar.start.strftime(tick))
        for index, bar in enumerate(bars)
        if index % every == every // 2
    ]
    return Chart(title, _summary(unit, counts), bars, ticks, largest)


def _scale(largest_up: int, largest_down: int) -> float:
    """Pixels per change: one scale for both directions, so that both fit."""
    return min(UP_HEIGHT / max(1, largest_up), DOWN_HEIGHT / max(1, largest_down))


def _bar(index: int, step: float, count: ActivityCount, scale: float, label: str) -> Bar:
    start = to_datetime(count.start_time)
    up, down = _height(count.succeeded, scale), _height(_refused(count), scale)
    return Bar(
        x=round(index * step + step * _GAP / 2, 2),
        width=round(step * (1 - _GAP), 2),
        up_y=round(UP_HEIGHT - up, 2),
        up_height=up,
        down_height=down,
        down_y=UP_HEIGHT + 1,
        start=start,
        label=start.strftime(label),
        succeeded=count.succeeded,
        refused=_refused(count),
    )


def _height(number: int, scale: float) -> float:
    return round(max(_MIN_BAR_HEIGHT, number * scale), 2) if number else 0.0


def _refused(count: ActivityCount) -> int:
    return count.refused + count.rejected_keys


def _summary(unit: str, counts: Sequence[ActivityCount]) -> str:
    succeeded = sum(count.succeeded for count in counts)
    refused = sum(_refused(count) for count in counts)
    if not succeeded and not refused:
        return "No changes."
    busiest = max(counts, key=lambda count: count.succeeded + _refused(count))
    peak = busiest.succeeded + _refused(busiest)
    start = to_datetime(busiest.start_time)
    when = f"at {start:%H:00} UTC" if unit == "hour" else f"on {start:%-d %b}"
    totals = f"{pluralize(succeeded, 'change')}, {refused:,} refused"
    return f"{totals}. Peak {when}: {peak:,}."
