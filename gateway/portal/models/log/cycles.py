"""Entra's provisioning cycles, derived from bursts of log entries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloudacademy.users.v1.activity_pb2 import Cycle

from gateway.portal.models.times import duration, pluralize, to_datetime

RUNNING: Final = timedelta(minutes=2)
"""The newest cycle counts as running while its last entry is younger than this."""


@dataclass(frozen=True, slots=True)
class CycleRow:
    """One cycle, with its texts."""

    start: datetime
    end: datetime
    is_running: bool
    succeeded: int
    refused: int
    took: str
    rate: str

    @property
    def summary(self) -> str:
        """For example 412 changes, 3 refused."""
        changes = pluralize(self.succeeded, "change")
        return f"{changes}, {self.refused:,} refused" if self.refused else changes


def cycle_rows(cycles: Sequence[Cycle], now: datetime) -> list[CycleRow]:
    """The rows of these cycles, which are given newest first."""
    return [_row(cycle, now, is_newest=index == 0) for index, cycle in enumerate(cycles)]


def running(rows: Sequence[CycleRow]) -> CycleRow | None:
    """The cycle that is running now, if any."""
    return rows[0] if rows and rows[0].is_running else None


def _row(cycle: Cycle, now: datetime, *, is_newest: bool) -> CycleRow:
    start, end = to_datetime(cycle.start_time), to_datetime(cycle.end_time)
    is_running = is_newest and now - end < RUNNING
    span = end - start
    return CycleRow(
        start=start,
        end=end,
        is_running=is_running,
        succeeded=cycle.succeeded,
        refused=cycle.refused,
        took=duration(span),
        rate=_rate(cycle.succeeded + cycle.refused, span),
    )


def _rate(entries: int, span: timedelta) -> str:
    seconds = span.total_seconds()
    if seconds < 1:
        return ""
    per_second = entries / seconds
    if per_second >= 1:
        return f"{per_second:,.0f} per second"
    return f"{max(1, round(per_second * 60)):,} per minute"
