"""Token limiter: so many a second, a burst after a rest, and a bounded memory."""

import pytest

from gateway.limits.rate_limiter import MAX_BUCKETS, Rate, RateLimiter
from tests.support.clocks import Clock


@pytest.fixture
def limiter(clock: Clock) -> RateLimiter:
    return RateLimiter(Rate(per_second=10, burst=5), clock)


def taken(limiter: RateLimiter, name: str, times: int = 1_000) -> int:
    """How many tokens there are to take at this moment."""
    return sum(limiter.try_charge(name) == 0.0 for _ in range(times))


def test_after_a_rest_the_whole_burst_is_there_and_no_more(limiter):
    assert taken(limiter, "acme") == 5


def test_what_was_taken_comes_back_at_the_rate(limiter, clock):
    taken(limiter, "acme")
    clock.seconds += 0.3

    assert taken(limiter, "acme") == 3


def test_the_wait_ends_when_there_is_a_token(limiter, clock):
    taken(limiter, "acme")
    wait = limiter.try_charge("acme")

    clock.seconds += wait * 0.99
    early = limiter.try_charge("acme")
    clock.seconds += wait * 0.02

    assert wait == pytest.approx(0.1)
    assert early > 0.0
    assert limiter.try_charge("acme") == 0.0


def test_in_the_long_run_the_rate_is_kept_however_it_is_asked_for(limiter, clock):
    got = 0
    for _ in range(1_000):
        got += taken(limiter, "acme", 3)
        clock.seconds += 0.013

    assert got == pytest.approx(5 + 10 * 13, abs=1)


def test_names_have_nothing_to_do_with_each_other(limiter):
    taken(limiter, "acme")

    assert taken(limiter, "initech") == 5


def test_what_is_owed_has_to_come_back_first(limiter, clock):
    assert limiter.try_charge("acme") == 0.0
    limiter.charge("acme", 24)  # 20 more than there are

    clock.seconds += 1.9
    still = limiter.try_charge("acme")
    clock.seconds += 0.2

    assert still > 0.0
    assert taken(limiter, "acme") == 1


def test_what_is_given_back_can_be_taken_again(limiter):
    taken(limiter, "acme")
    limiter.refund("acme")
    limiter.refund("nobody")

    assert taken(limiter, "acme") == 1
    assert taken(limiter, "nobody") == 5


def test_it_tells_how_many_are_left(limiter, clock):
    limiter.try_charge("acme")
    limiter.try_charge("acme")
    before = limiter.remaining("acme")
    limiter.charge("acme", 100)

    assert (before, limiter.remaining("acme"), limiter.remaining("initech")) == (3, 0, 5)


def test_pressure_is_felt_for_a_second(limiter, clock):
    taken(limiter, "acme", 5)
    calm = limiter.has_rejected_recently
    limiter.try_charge("acme")
    pressed = limiter.has_rejected_recently
    clock.seconds += 1.1

    assert (calm, pressed, limiter.has_rejected_recently) == (False, True, False)


def test_asking_for_the_wait_changes_nothing(limiter):
    taken(limiter, "acme", 5)
    waits = [limiter.retry_after("acme") for _ in range(3)]
    waits.append(limiter.retry_after("initech", pending=5))

    assert waits == pytest.approx([0.1] * 4)
    assert not limiter.has_rejected_recently
    assert (limiter.remaining("acme"), limiter.remaining("initech"), len(limiter)) == (0, 5, 1)


def test_a_noted_rejection_is_pressure_for_a_second(limiter, clock):
    limiter.note_rejection()
    pressed = limiter.has_rejected_recently
    clock.seconds += 1.1

    assert (pressed, limiter.has_rejected_recently) == (True, False)


def test_full_buckets_are_forgotten_and_there_are_never_too_many(limiter, clock):
    limiter.charge("acme", 1_000_000)
    for number in range(MAX_BUCKETS * 2):
        limiter.try_charge(f"address {number}")
    most = len(limiter)
    clock.seconds += 60.0
    limiter.try_charge("another")

    assert most == MAX_BUCKETS
    assert len(limiter) <= 2
