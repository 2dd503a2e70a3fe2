"""The health line, and the signals that it is derived from."""

from datetime import timedelta

import pytest
from cloudacademy.keys.v1.keys_pb2 import Key
from cloudacademy.users.v1.activity_pb2 import ActivityCount

from gateway.portal.models.health import (
    SILENCE_LIMIT,
    HealthSignals,
    Level,
    Totals,
    contact_text,
    health,
    totals,
)
from gateway.portal.models.key_rows import key_rows
from gateway.portal.models.providers import OKTA, OTHER, Provider
from tests.support.portal_keys import NOW, before, key, rows

MINUTE = timedelta(minutes=1)


def signals(*keys: Key, **fields: object) -> HealthSignals:
    day = Totals(fields.pop("succeeded", 0), fields.pop("refused", 0))
    defaults = {"active": True, "day": day, "last_key_refusal": None, "now": NOW}
    return HealthSignals(keys=rows(*keys), **(defaults | fields))


def level_and_title(*keys: Key, **fields: object) -> tuple[Level, str]:
    result = health(signals(*keys, **fields))
    return result.level, result.title


USED = key(1, used=5 * MINUTE)


def signals_with(**changes: object) -> HealthSignals:
    key = Key(id="k1", create_time=before(days=1), last_used_time=before(minutes=20))
    defaults: dict = {
        "active": True,
        "keys": key_rows([key], {}, NOW),
        "day": Totals(100, 0),
        "last_key_refusal": None,
        "now": NOW,
    }
    return HealthSignals(**(defaults | changes))


def test_inactive_integration_is_off_whatever_else_is_wrong():
    assert level_and_title(USED, active=False, refused=100) == (Level.OFF, "Provisioning is off")


def test_new_integration_waits_for_key_then_for_entra():
    assert level_and_title() == (Level.WAITING, "Almost there")
    assert level_and_title(key(1)) == (Level.WAITING, "Waiting for Entra")


def test_refused_key_is_critical_until_a_working_key_is_used():
    critical = (Level.CRITICAL, "Entra's API key is refused")
    assert level_and_title(key(1), last_key_refusal=NOW - MINUTE) == critical
    assert (
        level_and_title(key(1, used=timedelta(hours=2)), last_key_refusal=NOW - MINUTE) == critical
    )
    assert level_and_title(USED, last_key_refusal=NOW - 20 * MINUTE)[0] == Level.GOOD


def test_old_key_refused_while_the_newest_is_in_use_is_a_warning():
    warning = (Level.WARNING, "An old API key is still being used")
    assert level_and_title(key(1, used=30 * MINUTE), last_key_refusal=NOW - MINUTE) == warning


def test_use_within_a_minute_before_a_refusal_counts_as_a_later_use():
    assert (
        level_and_title(key(1, used=5 * MINUTE), last_key_refusal=NOW - 4.5 * MINUTE)[0]
        == Level.GOOD
    )


def test_no_working_key_is_critical():
    assert level_and_title(key(1, expires=-MINUTE, used=5 * MINUTE)) == (
        Level.CRITICAL,
        "No working API key",
    )


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
def test_failure_rate_warns_before_entra_quarantines(
    succeeded: int, refused: int, expected: tuple[Level, str]
):
    assert level_and_title(USED, succeeded=succeeded, refused=refused) == expected


def test_no_contact_for_three_hours_is_a_warning():
    assert level_and_title(key(1, used=timedelta(hours=2, minutes=59)))[0] == Level.GOOD
    assert level_and_title(key(1, used=timedelta(hours=3))) == (
        Level.WARNING,
        "No contact from Entra",
    )


def test_expiring_key_in_use_is_a_warning_with_the_remaining_time():
    old = key(1, expires=timedelta(hours=7, minutes=12), used=5 * MINUTE)
    result = health(signals(key(2), old))
    assert (result.level, result.title) == (Level.WARNING, "An old API key is still in use")
    assert "7 h 12 min" in result.text


def test_last_contact_is_the_newest_use_of_any_key():
    assert contact_text(signals(key(2), key(1, used=43 * MINUTE))).startswith(
        "43 minutes ago. Entra syncs"
    )
    assert contact_text(signals(key(1))) == "Entra has not connected yet."


@pytest.mark.parametrize("provider", [OKTA, OTHER], ids=lambda each: each.slug)
@pytest.mark.parametrize(
    "state",
    [
        {},
        {"keys": ()},
        {"keys": (key(1),)},
        {"keys": (key(1, expires=-MINUTE),)},
        {"keys": (key(2), key(1, expires=MINUTE, used=5 * MINUTE))},
        {"active": False, "keys": ()},
        {"refused": 100},
        {"last_key_refusal": NOW - MINUTE},
        {"keys": (key(1, used=2 * SILENCE_LIMIT),), "last_key_refusal": NOW - MINUTE},
        {"day": None},
    ],
    ids=str,
)
def test_health_of_another_provider_names_it_without_entras_rules(provider: Provider, state: dict):
    keys = state.get("keys", (USED,))
    others = {name: value for name, value in state.items() if name != "keys"}
    given = signals(*keys, provider=provider, **others)
    result = health(given)
    texts = f"{result.title} {result.text} {contact_text(given)}"
    assert not [each for each in ("Entra", "quarantine", "Secret Token", "cycle") if each in texts]
    assert not result.link or result.link.startswith(provider.path)


def test_silence_of_a_provider_without_cycles_is_no_warning():
    quiet = signals(key(1, used=2 * SILENCE_LIMIT), provider=OKTA)
    assert health(quiet).level == Level.GOOD
    assert contact_text(quiet) == "6 hours ago. Okta connects when something changes."


def test_totals_exclude_rejected_keys():
    counts = [ActivityCount(succeeded=3, refused=1, rejected_keys=50), ActivityCount(succeeded=2)]
    assert totals(counts) == Totals(5, 1)
    assert totals(None) is None


def test_health_says_if_there_are_too_many_changes_to_count():
    result = health(signals(USED, day=None))
    assert (result.level, result.title) == (Level.GOOD, "Entra is connected")
    assert "too many changes to count" in result.text


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, Level.GOOD),
        ({"active": False}, Level.OFF),
        ({"keys": []}, Level.WAITING),
        ({"day": Totals(100, 15)}, Level.WARNING),
        ({"day": Totals(100, 70)}, Level.CRITICAL),
        ({"last_key_refusal": NOW - timedelta(minutes=1)}, Level.WARNING),
        ({"last_key_refusal": NOW - timedelta(hours=1)}, Level.GOOD),
        ({"now": NOW + timedelta(hours=4)}, Level.WARNING),
    ],
)
def test_health_level_depends_on_signals(changes: dict, level: Level):
    assert health(signals_with(**changes)).level is level


def test_contact_text_includes_the_usual_interval():
    assert contact_text(signals_with()) == "20 minutes ago. Entra syncs about every 40 minutes."
