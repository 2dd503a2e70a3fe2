"""Token buckets: so many a second, a burst after a rest, and a bounded memory."""

import pytest

from gateway.limits.rate_limiter import MAX_BUCKETS, Buckets, Rate
from tests.support.clocks import Clock


@pytest.fixture
def buckets(clock: Clock) -> Buckets:
    return Buckets(Rate(per_second=10, burst=5), clock)


def taken(buckets: Buckets, name: str, times: int = 1_000) -> int:
    """How many tokens there are to take at this moment."""
    return sum(buckets.take(name) == 0.0 for _ in range(times))


def test_after_a_rest_the_whole_burst_is_there_and_no_more(buckets):
    assert taken(buckets, "acme") == 5


def test_what_was_taken_comes_back_at_the_rate(buckets, clock):
    taken(buckets, "acme")
    clock.seconds += 0.3

    assert taken(buckets, "acme") == 3


def test_the_wait_ends_when_there_is_a_token(buckets, clock):
    taken(buckets, "acme")
    wait = buckets.take("acme")

    clock.seconds += wait * 0.99
    early = buckets.take("acme")
    clock.seconds += wait * 0.02

    assert wait == pytest.approx(0.1)
    assert early > 0.0
    assert buckets.take("acme") == 0.0


def test_in_the_long_run_the_rate_is_kept_however_it_is_asked_for(buckets, clock):
    got = 0
    for _ in range(1_000):
        got += taken(buckets, "acme", 3)
        clock.seconds += 0.013

    assert got == pytest.approx(5 + 10 * 13, abs=1)


def test_names_have_nothing_to_do_with_each_other(buckets):
    taken(buckets, "acme")

    assert taken(buckets, "initech") == 5


def test_what_is_owed_has_to_come_back_first(buckets, clock):
    assert buckets.take("acme") == 0.0
    buckets.owe("acme", 24)  # 20 more than there are

    clock.seconds += 1.9
    still = buckets.take("acme")
    clock.seconds += 0.2

    assert still > 0.0
    assert taken(buckets, "acme") == 1


def test_what_is_given_back_can_be_taken_again(buckets):
    taken(buckets, "acme")
    buckets.give_back("acme")
    buckets.give_back("nobody")

    assert taken(buckets, "acme") == 1
    assert taken(buckets, "nobody") == 5


def test_it_tells_how_many_are_left(buckets, clock):
    buckets.take("acme")
    buckets.take("acme")
    before = buckets.left("acme")
    buckets.owe("acme", 100)

    assert (before, buckets.left("acme"), buckets.left("initech")) == (3, 0, 5)


def test_pressure_is_felt_for_a_second(buckets, clock):
    taken(buckets, "acme", 5)
    calm = buckets.is_pressed
    buckets.take("acme")
    pressed = buckets.is_pressed
    clock.seconds += 1.1

    assert (calm, pressed, buckets.is_pressed) == (False, True, False)


def test_full_buckets_are_forgotten_and_there_are_never_too_many(buckets, clock):
    buckets.owe("acme", 1_000_000)
    for number in range(MAX_BUCKETS * 2):
        buckets.take(f"address {number}")
    most = len(buckets)
    clock.seconds += 60.0
    buckets.take("another")

    assert most == MAX_BUCKETS
    assert len(buckets) <= 2
