"""What pages say: times, sentences, states of keys, and what to do."""

from datetime import UTC, datetime, timedelta

import pytest
from cloudacademy.keys.v1.keys_pb2 import Key
from cloudacademy.users.v1.activity_pb2 import Activity, ActivityCount, Cycle, RefusedRequest

from gateway.portal.models.charts import hours_chart
from gateway.portal.models.health import HealthSignals, Level, Totals, contact, health
from gateway.portal.models.key_rows import KeyState, key_rows
from gateway.portal.models.log.advice import advice
from gateway.portal.models.log.checks import Outcome, checks
from gateway.portal.models.log.curl import as_curl
from gateway.portal.models.log.cycles import cycle_rows, running
from gateway.portal.models.log.sentences import sentence
from gateway.portal.models.times import ago, duration, to_timestamp

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
URL = "https://cloudacademy.com/webhooks/ad/v1/scim"


def before(**span: float):
    return to_timestamp(NOW - timedelta(**span))


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
def test_a_span_is_told_in_its_two_largest_units(span: dict, text: str):
    assert duration(timedelta(**span)) == text


def test_a_time_is_told_from_now():
    assert ago(NOW - timedelta(minutes=43), NOW) == "43 minutes ago"
    assert ago(NOW - timedelta(hours=1), NOW) == "1 hour ago"
    assert ago(NOW + timedelta(seconds=3), NOW) == "just now"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"action": Activity.ACTION_DISABLE_USER}, "Ann Li was disabled"),
        ({"action": Activity.ACTION_DISABLE_USER, "refused": True}, "Ann Li could not be disabled"),
        (
            {"action": Activity.ACTION_ADD_MEMBERS, "member_count": 2},
            "2 members were added to Ann Li",
        ),
        (
            {
                "action": Activity.ACTION_AUTHENTICATE,
                "refused": True,
                "refusal": RefusedRequest(reason="KEY_EXPIRED"),
            },
            "A request came with an API key that has ended",
        ),
    ],
)
def test_what_happened_is_a_sentence(fields: dict, text: str):
    assert sentence(Activity(**fields), "Ann Li").text == text


def test_who_is_deleted_has_no_name():
    entry = Activity(action=Activity.ACTION_DELETE_USER)
    assert sentence(entry).text == "Somebody was deleted"


def test_keys_tell_their_states():
    keys = [
        Key(id="k4", create_time=before(hours=1), last_used_time=before(minutes=1)),
        Key(
            id="k3",
            create_time=before(days=1),
            expire_time=to_timestamp(NOW + timedelta(hours=7, minutes=12)),
            last_used_time=before(minutes=20),
        ),
        Key(id="k2", create_time=before(days=2), expire_time=before(days=1)),
        Key(id="k1", create_time=before(days=3), revoke_time=before(days=2)),
    ]
    rows = key_rows(keys, {}, NOW)
    assert [row.state for row in rows] == [
        KeyState.ACTIVE, KeyState.ENDING, KeyState.ENDED, KeyState.REVOKED,
    ]  # fmt: skip
    assert rows[1].state_text == "Ends in 7 h 12 min"
    assert [row.works for row in rows] == [True, True, False, False]


@pytest.mark.parametrize(
    ("old_used", "new_used", "in_use"),
    [
        ({"minutes": 20}, None, True),
        ({"minutes": 90}, None, False),  # before there was a newer one
        ({"minutes": 20}, {"minutes": 5}, False),  # Entra has the newer one now
        ({"minutes": 5}, {"minutes": 20}, True),
        (None, None, False),
    ],
)
def test_an_old_key_is_in_use_if_it_was_used_since_there_is_a_newer_one(
    old_used: dict | None, new_used: dict | None, in_use: bool
):
    new = Key(id="k2", create_time=before(hours=1))
    old = Key(
        id="k1", create_time=before(days=1), expire_time=to_timestamp(NOW + timedelta(hours=7))
    )
    for key, used in ((new, new_used), (old, old_used)):
        if used is not None:
            key.last_used_time.CopyFrom(before(**used))
    assert [row.is_in_use for row in key_rows([new, old], {}, NOW)] == [False, in_use]


def test_no_key_is_used_instead_of_a_revoked_one():
    new = Key(id="k2", create_time=before(hours=1), revoke_time=before(minutes=30))
    old = Key(id="k1", create_time=before(days=1), last_used_time=before(minutes=5))
    assert [row.is_in_use for row in key_rows([new, old], {}, NOW)] == [False, False]


def signs(**changes: object) -> HealthSignals:
    key = Key(id="k1", create_time=before(days=1), last_used_time=before(minutes=20))
    given: dict = {
        "active": True,
        "keys": key_rows([key], {}, NOW),
        "day": Totals(100, 0),
        "last_rejected": None,
        "now": NOW,
    }
    return HealthSignals(**(given | changes))


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, Level.GOOD),
        ({"active": False}, Level.OFF),
        ({"keys": []}, Level.WAITING),
        ({"day": Totals(100, 15)}, Level.WARNING),
        ({"day": Totals(100, 70)}, Level.CRITICAL),
        ({"last_rejected": NOW - timedelta(minutes=1)}, Level.WARNING),
        ({"last_rejected": NOW - timedelta(hours=1)}, Level.GOOD),
        ({"now": NOW + timedelta(hours=4)}, Level.WARNING),
    ],
)
def test_health_warns_before_entra_quarantines(changes: dict, level: Level):
    assert health(signs(**changes)).level is level


def test_the_last_contact_is_told_with_what_is_usual():
    assert contact(signs()) == "20 minutes ago; Entra calls about every 40 minutes"


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (RefusedRequest(status=409, reason="USER_NAME_TAKEN"), "Two people want the same userName"),
        (RefusedRequest(status=400, error_type="invalidPath"), "target attribute"),
        (RefusedRequest(status=503), "our fault"),
        (RefusedRequest(status=404), "Restart provisioning"),
        (RefusedRequest(status=418), "Provision on demand"),
    ],
)
def test_each_refusal_says_what_to_do(refusal: RefusedRequest, words: str):
    assert words in advice(refusal).replace("\u201d", "").replace("\u201c", "")


def test_checks_stop_at_the_one_that_failed():
    taken = Activity(refused=True, refusal=RefusedRequest(status=409, reason="USER_NAME_TAKEN"))
    outcomes = [each.outcome for each in checks(taken)]
    assert outcomes == [*[Outcome.PASSED] * 5, Outcome.FAILED, Outcome.NOT_REACHED]
    assert {each.outcome for each in checks(Activity())} == {Outcome.PASSED}


def test_a_command_has_no_token_and_is_safe_to_paste():
    body = """{"userName":"o'hara; rm -rf /"}"""
    command = as_curl(RefusedRequest(method="POST", target="/Users?x=$(id)", body=body), URL)
    assert command == (
        f"curl --globoff --request POST '{URL}/Users?x=$(id)' \\\n"
        '  --header "Authorization: Bearer $SECRET_TOKEN" \\\n'
        "  --header 'Content-Type: application/scim+json' \\\n"
        """  --data-raw '{"userName":"o'"'"'hara; rm -rf /"}'"""
    )


def test_a_cycle_runs_until_it_has_been_silent_for_two_minutes():
    cycles = [
        Cycle(start_time=before(minutes=5), end_time=before(minutes=1), succeeded=480),
        Cycle(start_time=before(minutes=50), end_time=before(minutes=45), succeeded=3, refused=2),
    ]
    first, second = cycle_rows(cycles, NOW)
    assert running([first, second]) is first
    assert (first.rate, second.rate) == ("2 a second", "1 a minute")
    assert running(cycle_rows(cycles, NOW + timedelta(minutes=2))) is None


def test_a_chart_never_leaves_its_frame():
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
