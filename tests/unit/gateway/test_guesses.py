"""Unknown keys are slowed by their address; keys that ever worked are not."""

from datetime import UTC, datetime

import pytest
from cloudacademy.keys.v1 import keys_pb2 as pb

from gateway.errors import ANSWERS, RefusedError
from gateway.guesses import ASKED_AT_ONCE, RECOVERY_SECONDS, Guesses, network
from gateway.key_cache import KEEP_SECONDS, SILENCE_SECONDS
from gateway.turned_away import TurnedAwayError

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RESET = pb.WatchKeysResponse(reset=pb.WatchKeysResponse.Reset())
HEARTBEAT = pb.WatchKeysResponse(heartbeat=pb.WatchKeysResponse.Heartbeat())
ADDRESS = "192.0.2.1"
AT_ONCE = 5


class Clock:
    """The seconds that have passed."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses(clock: Clock) -> Guesses:
    made = Guesses(AT_ONCE, clock)
    made.apply(RESET)
    return made


def refusal(reason: str = "KEY_UNKNOWN", organization_id: str = "") -> RefusedError:
    return RefusedError(ANSWERS[reason], "no", reason, {"organization_id": organization_id})


def guess(guesses: Guesses, token: bytes, address: str = ADDRESS) -> None:
    guesses.refused(guesses.begin(token, address), refusal())


def exhaust(guesses: Guesses, address: str = ADDRESS) -> None:
    for number in range(AT_ONCE):
        guess(guesses, b"wrong %d" % number, address)


def test_after_so_many_unknown_keys_an_address_has_to_wait(guesses, clock):
    exhaust(guesses)

    with pytest.raises(TurnedAwayError) as turned_away:
        guesses.begin(b"next", ADDRESS)
    clock.seconds += RECOVERY_SECONDS
    guess(guesses, b"next")

    assert turned_away.value.status == 429
    assert turned_away.value.headers == {"Retry-After": "2"}


def test_other_addresses_do_not_wait(guesses):
    exhaust(guesses)

    guess(guesses, b"next", "192.0.2.2")


def test_a_key_that_worked_before_is_asked_about_wherever_it_comes_from(guesses):
    guesses.verified(guesses.begin(b"right", "198.51.100.7"))
    exhaust(guesses)

    guesses.verified(guesses.begin(b"right", ADDRESS))


def test_keys_that_work_use_nothing_up(guesses):
    for number in range(AT_ONCE * 3):
        guesses.verified(guesses.begin(b"right %d" % number, ADDRESS))


@pytest.mark.parametrize("reason", ["KEY_EXPIRED", "KEY_REVOKED", "INTEGRATION_INACTIVE"])
def test_who_shows_a_secret_that_was_good_has_not_guessed(guesses, reason):
    for number in range(AT_ONCE * 3):
        guesses.refused(guesses.begin(b"old %d" % number, ADDRESS), refusal(reason, "acme"))


def test_a_question_without_an_answer_uses_nothing_up(guesses):
    for number in range(AT_ONCE * 3):
        guesses.given_up(guesses.begin(b"%d" % number, ADDRESS))
        guesses.refused(guesses.begin(b"%d" % number, ADDRESS), refusal("DATABASE_UNAVAILABLE"))


def test_questions_under_way_count(guesses):
    for number in range(AT_ONCE):
        guesses.begin(b"%d" % number, ADDRESS)

    with pytest.raises(TurnedAwayError, match="Too many API keys"):
        guesses.begin(b"next", ADDRESS)


def test_from_all_addresses_together_only_so_many_are_asked_about_at_once(guesses):
    right = guesses.begin(b"right", "198.51.100.7")
    guesses.verified(right)
    questions = [
        guesses.begin(b"%d" % number, f"10.0.{number}.1") for number in range(ASKED_AT_ONCE)
    ]

    with pytest.raises(TurnedAwayError) as turned_away:
        guesses.begin(b"next", "10.1.0.1")
    guesses.begin(b"right", "10.1.0.1")
    guesses.refused(questions[0], refusal())
    guesses.begin(b"next", "10.1.0.1")

    assert turned_away.value.status == 503


def test_a_refusal_is_remembered_for_half_a_minute(guesses, clock):
    guess(guesses, b"wrong")
    remembered = guesses.remembered(b"wrong", NOW)
    for _ in range(int(KEEP_SECONDS / SILENCE_SECONDS * 2) + 2):
        clock.seconds += SILENCE_SECONDS / 2
        guesses.apply(HEARTBEAT)

    assert remembered is not None
    assert remembered.reason == "KEY_UNKNOWN"
    assert guesses.remembered(b"wrong", NOW) is None
    assert guesses.remembered(b"another", NOW) is None


def test_a_refusal_is_forgotten_when_its_organization_changes_something(guesses):
    """An integration that is switched on again takes its keys at once."""
    guesses.refused(guesses.begin(b"off", ADDRESS), refusal("INTEGRATION_INACTIVE", "acme"))
    before = guesses.remembered(b"off", NOW)
    change = pb.WatchKeysResponse.OrganizationChange(organization_id="acme")
    guesses.apply(pb.WatchKeysResponse(organization_change=change))

    assert before is not None
    assert guesses.remembered(b"off", NOW) is None


def test_nothing_is_remembered_while_nobody_tells_of_changes(guesses, clock):
    guess(guesses, b"wrong")
    clock.seconds += SILENCE_SECONDS

    assert guesses.remembered(b"wrong", NOW) is None


def test_a_service_that_is_away_is_not_remembered(guesses):
    guesses.refused(guesses.begin(b"right", ADDRESS), refusal("DATABASE_UNAVAILABLE"))

    assert guesses.remembered(b"right", NOW) is None


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_of_ipv6_a_whole_network_is_one_address(address: str, whose: str):
    assert network(address) == whose
