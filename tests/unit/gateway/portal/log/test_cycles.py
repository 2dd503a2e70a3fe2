"""Entra's cycles in the log."""

from datetime import UTC, datetime, timedelta

from cloudacademy.users.v1.activity_pb2 import Cycle

from gateway.portal.models.log.cycles import cycle_rows, running
from gateway.portal.models.times import to_timestamp

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def cycle(start: int, end: int, succeeded: int, refused: int = 0) -> Cycle:
    return Cycle(
        start_time=to_timestamp(NOW - timedelta(seconds=start)),
        end_time=to_timestamp(NOW - timedelta(seconds=end)),
        succeeded=succeeded,
        refused=refused,
    )


def before(**span: float):
    return to_timestamp(NOW - timedelta(**span))


def test_newest_cycle_is_running_while_its_last_entry_is_recent():
    rows = cycle_rows([cycle(600, 119, 70, 2), cycle(9000, 8000, 5)], NOW)
    assert [row.is_running for row in rows] == [True, False]
    assert running(rows) is rows[0]
    assert (rows[0].summary, rows[0].rate) == ("70 changes, 2 refused", "9 per minute")
    assert running(cycle_rows([cycle(600, 120, 70)], NOW)) is None
    assert running([]) is None


def test_rate_of_a_fast_cycle_is_per_second():
    assert cycle_rows([cycle(10, 0, 500)], NOW)[0].rate == "50 per second"
    assert cycle_rows([cycle(0, 0, 1)], NOW)[0].rate == ""


def test_cycle_is_running_until_two_minutes_after_its_last_entry():
    cycles = [
        Cycle(start_time=before(minutes=5), end_time=before(minutes=1), succeeded=480),
        Cycle(start_time=before(minutes=50), end_time=before(minutes=45), succeeded=3, refused=2),
    ]
    first, second = cycle_rows(cycles, NOW)
    assert running([first, second]) is first
    assert (first.rate, second.rate) == ("2 per second", "1 per minute")
    assert running(cycle_rows(cycles, NOW + timedelta(minutes=2))) is None
