"""Entra's cycles in the log."""

from datetime import UTC, datetime, timedelta

from cloudacademy.users.v1.activity_pb2 import Cycle

from chassis.rpc.timestamps import to_timestamp
from gateway.portal.models.log.cycles import cycle_rows, running

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def cycle(start: int, end: int, succeeded: int, refused: int = 0) -> Cycle:
    return Cycle(
        start_time=to_timestamp(NOW - timedelta(seconds=start)),
        end_time=to_timestamp(NOW - timedelta(seconds=end)),
        succeeded=succeeded,
        refused=refused,
    )


def test_newest_cycle_is_running_while_its_last_entry_is_recent():
    rows = cycle_rows([cycle(600, 119, 70, 2), cycle(9000, 8000, 5)], NOW)
    assert [row.is_running for row in rows] == [True, False]
    assert running(rows) is rows[0]
    assert (rows[0].summary, rows[0].rate) == ("70 changes, 2 refused", "9 per minute")
    assert running(cycle_rows([cycle(600, 120, 70)], NOW)) is None
    assert running([]) is None


def test_rate_of_a_cycle_is_per_second_only_if_fast():
    cycles = [cycle(10, 0, 500), cycle(300, 60, 480), cycle(3000, 2700, 3, 2), cycle(0, 0, 1)]
    rates = [row.rate for row in cycle_rows(cycles, NOW)]
    assert rates == ["50 per second", "2 per second", "1 per minute", ""]
