"""Rate limiter: a rate, a burst after a pause, and bounded memory."""

import pytest

from gateway.limits.rate_limiter import MAX_BUCKETS, Rate, RateLimiter
from tests.support.clocks import Clock


@pytest.fixture
def limiter(clock: Clock) -> RateLimiter:
    return RateLimiter(Rate(per_second=10, burst=5), clock)


def charge_all(limiter: RateLimiter, name: str, times: int = 1_000) -> int:
    """Charge one token this number of times; return the number of accepted charges."""
    return sum(limiter.try_charge(name) == 0.0 for _ in range(times))


def test_rate_limiter_allows_the_whole_burst_after_a_pause(limiter):
    assert charge_all(limiter, "acme") == 5


def test_rate_limiter_refills_at_the_rate(limiter, clock):
    charge_all(limiter, "acme")
    clock.seconds += 0.3

    assert charge_all(limiter, "acme") == 3


def test_rate_limiter_accepts_after_the_returned_wait(limiter, clock):
    charge_all(limiter, "acme")
    wait = limiter.try_charge("acme")

    clock.seconds += wait * 0.99
    early = limiter.try_charge("acme")
    clock.seconds += wait * 0.02

    assert wait == pytest.approx(0.1)
    assert early > 0.0
    assert limiter.try_charge("acme") == 0.0


def test_rate_limiter_keeps_the_rate_in_the_long_run(limiter, clock):
    accepted = 0
    for _ in range(1_000):
        accepted += charge_all(limiter, "acme", 3)
        clock.seconds += 0.013

    assert accepted == pytest.approx(5 + 10 * 13, abs=1)


def test_rate_limiter_limits_each_key_separately(limiter):
    charge_all(limiter, "acme")

    assert charge_all(limiter, "initech") == 5


def test_rate_limiter_repays_an_overdraft_first(limiter, clock):
    assert limiter.try_charge("acme") == 0.0
    limiter.charge("acme", 24)  # 20 more than remain

    clock.seconds += 1.9
    early = limiter.try_charge("acme")
    clock.seconds += 0.2

    assert early > 0.0
    assert charge_all(limiter, "acme") == 1


def test_refunded_token_can_be_charged_again(limiter):
    charge_all(limiter, "acme")
    limiter.refund("acme")
    limiter.refund("nobody")

    assert charge_all(limiter, "acme") == 1
    assert charge_all(limiter, "nobody") == 5


def test_remaining_is_never_negative(limiter, clock):
    limiter.try_charge("acme")
    limiter.try_charge("acme")
    before = limiter.remaining("acme")
    limiter.charge("acme", 100)

    assert (before, limiter.remaining("acme"), limiter.remaining("initech")) == (3, 0, 5)


def test_retry_after_charges_nothing(limiter):
    charge_all(limiter, "acme", 5)
    waits = [limiter.retry_after("acme") for _ in range(3)]

    assert waits == pytest.approx([0.1] * 3)
    assert (limiter.remaining("acme"), limiter.remaining("initech"), len(limiter)) == (0, 5, 1)


def test_full_buckets_are_removed_and_their_number_is_bounded(limiter, clock):
    limiter.charge("acme", 1_000_000)
    for number in range(MAX_BUCKETS * 2):
        limiter.try_charge(f"address {number}")
    peak = len(limiter)
    clock.seconds += 60.0
    limiter.try_charge("another")

    assert peak == MAX_BUCKETS
    assert len(limiter) <= 2
