"""The one line on how provisioning is, and the keys that it is told from."""

from datetime import UTC, datetime, timedelta

import pytest
from cloudacademy.keys.v1.keys_pb2 import Key
from cloudacademy.users.v1.activity_pb2 import ActivityCount

from gateway.portal.models.health import HealthSignals, Level, Totals, contact, health, totals
from gateway.portal.models.key_rows import KeyRow, KeyState, key_name, key_rows
from gateway.portal.models.times import to_timestamp

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def key(number: int, *, ends: timedelta | None = None, used: timedelta | None = None) -> Key:
    made = Key(id=f"0190a5b4-4c7e-7d3a-9a53-00000000000{number}", created_by="ops")
    made.create_time.CopyFrom(to_timestamp(NOW - timedelta(days=9)))
    if ends is not None:
        made.expire_time.CopyFrom(to_timestamp(NOW + ends))
    if used is not None:
        made.last_used_time.CopyFrom(to_timestamp(NOW - used))
    return made


def rows(*keys: Key) -> list[KeyRow]:
    return key_rows(keys, {}, NOW)


def signs(*keys: Key, **fields: object) -> HealthSignals:
    day = Totals(fields.pop("succeeded", 0), fields.pop("refused", 0))
    given = {"active": True, "day": day, "last_rejected": None, "now": NOW}
    return HealthSignals(keys=rows(*keys), **(given | fields))


def line(*keys: Key, **fields: object) -> tuple[Level, str]:
    told = health(signs(*keys, **fields))
    return told.level, told.title


USED = key(1, used=5 * MINUTE)


def test_what_is_switched_off_is_off_whatever_else_is_wrong():
    assert line(USED, active=False, refused=100) == (Level.OFF, "Provisioning is off")


def test_before_anything_happened_the_line_says_what_comes_next():
    assert line() == (Level.WAITING, "Almost there")
    assert line(key(1)) == (Level.WAITING, "Waiting for Entra")


def test_a_refused_key_is_critical_until_a_good_one_is_used():
    critical = (Level.CRITICAL, "Entra's key is refused")
    assert line(key(1), last_rejected=NOW - MINUTE) == critical
    assert line(key(1, used=timedelta(hours=2)), last_rejected=NOW - MINUTE) == critical
    assert line(USED, last_rejected=NOW - 20 * MINUTE)[0] == Level.GOOD


def test_an_old_key_beside_the_newest_one_in_use_is_a_warning():
    warning = (Level.WARNING, "An old key is still tried")
    assert line(key(1, used=30 * MINUTE), last_rejected=NOW - MINUTE) == warning


def test_a_use_that_is_known_to_the_minute_is_not_taken_for_older_than_it_is():
    assert line(key(1, used=5 * MINUTE), last_rejected=NOW - 4.5 * MINUTE)[0] == Level.GOOD


def test_no_key_that_works_is_critical():
    assert line(key(1, ends=-MINUTE, used=5 * MINUTE)) == (Level.CRITICAL, "No key works")


@pytest.mark.parametrize(
    ("succeeded", "refused", "expected"),
    [
        (100, 5, (Level.GOOD, "Healthy")),
        (90, 10, (Level.WARNING, "10% of changes fail")),
        (61, 39, (Level.WARNING, "39% of changes fail")),
        (60, 40, (Level.CRITICAL, "40% of changes fail")),
        (0, 4, (Level.GOOD, "Healthy")),
        (0, 5, (Level.CRITICAL, "100% of changes fail")),
    ],
)
def test_the_share_of_failures_warns_before_entra_quarantines(
    succeeded: int, refused: int, expected: tuple[Level, str]
):
    assert line(USED, succeeded=succeeded, refused=refused) == expected


def test_silence_is_a_warning_after_three_hours():
    assert line(key(1, used=timedelta(hours=2, minutes=59)))[0] == Level.GOOD
    assert line(key(1, used=timedelta(hours=3))) == (Level.WARNING, "Entra is silent")


def test_an_old_key_that_ends_and_is_in_use_is_a_warning_with_the_time_left():
    old = key(1, ends=timedelta(hours=7, minutes=12), used=5 * MINUTE)
    told = health(signs(key(2), old))
    assert (told.level, told.title) == (Level.WARNING, "The old key is still in use")
    assert "7 h 12 min" in told.text


def test_last_contact_is_the_newest_use_of_any_key():
    assert contact(signs(key(2), key(1, used=43 * MINUTE))).startswith(
        "43 minutes ago; Entra calls"
    )
    assert contact(signs(key(1))) == "Entra has not called yet."


def test_rejected_keys_are_no_share_of_the_changes():
    counts = [ActivityCount(succeeded=3, refused=1, rejected_keys=50), ActivityCount(succeeded=2)]
    assert totals(counts) == Totals(5, 1)
    assert totals(None) is None


def test_each_key_has_its_state():
    revoked = key(4)
    revoked.revoke_time.CopyFrom(to_timestamp(NOW))
    shown = rows(key(1), key(2, ends=timedelta(hours=8)), key(3, ends=timedelta()), revoked)
    assert [(row.state, row.state_text) for row in shown] == [
        (KeyState.ACTIVE, "Active"),
        (KeyState.ENDING, "Ends in 8 h"),
        (KeyState.ENDED, "Ended"),
        (KeyState.REVOKED, "Revoked"),
    ]
    assert [row.works for row in shown] == [True, True, False, False]


def test_keys_of_one_day_are_told_apart_by_their_ends():
    assert key_name("0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12") == "…0b8e12"


def test_what_was_too_much_to_count_is_not_told_as_nothing():
    told = health(signs(USED, day=None))
    assert (told.level, told.title) == (Level.GOOD, "Entra calls")
    assert "too many changes to count" in told.text
