"""The bytes of bodies: how many are held at once, and whose."""

from contextlib import ExitStack, suppress

import pytest

from gateway.http.body import RECEIVED_OF_ONE, Bodies
from gateway.limits.rejections import RejectedError


def test_what_is_answered_is_held_no_longer():
    bodies = Bodies(100, floor=0)
    for _ in range(5):
        with bodies.of("acme") as hold:
            hold(20)
            hold(20)
            assert bodies.held == 40
    assert bodies.held == 0


def test_one_organization_holds_half_at_most_and_leaves_the_other_half_to_others():
    bodies = Bodies(100, floor=0)
    with bodies.of("acme") as hold, bodies.of("acme") as hold_more, bodies.of("initech") as other:
        hold(30)
        hold_more(20)
        with pytest.raises(RejectedError) as turned_away:
            hold(1)
        other(50)

    assert turned_away.value.status == 503
    assert turned_away.value.headers == {"Retry-After": "2"}
    assert bodies.held == 0


def test_all_together_hold_no_more_than_there_is():
    bodies = Bodies(100, floor=0)
    with bodies.of("acme") as one, bodies.of("initech") as two, bodies.of("globex") as three:
        one(40)
        two(40)
        with pytest.raises(RejectedError):
            three(21)
        three(20)  # what was refused is not counted


def test_a_request_that_failed_gives_back_what_it_held():
    bodies = Bodies(100, floor=0)
    with suppress(ValueError), bodies.of("acme") as hold:
        hold(50)
        raise ValueError

    with bodies.of("acme") as hold:
        hold(50)


def test_who_holds_little_may_though_others_hold_all():
    bodies = Bodies(100, floor=10)
    with bodies.of("acme") as one, bodies.of("initech") as two:
        one(50)
        two(50)
        for name in ("globex", "umbrella"):
            with bodies.of(name) as little:
                little(10)
                with pytest.raises(RejectedError):
                    little(1)
        with bodies.of("a") as a, bodies.of("b") as b, bodies.of("c") as c:
            a(10)
            b(10)
            with pytest.raises(RejectedError):  # the reserve, too, has an end
                c(10)


def test_only_so_many_bodies_of_one_organization_are_on_their_way_at_once():
    bodies = Bodies()
    with ExitStack() as coming:
        for _ in range(RECEIVED_OF_ONE):
            coming.enter_context(coming.enter_context(bodies.of("acme")).receiving())
        with bodies.of("acme") as one_more, pytest.raises(RejectedError):
            coming.enter_context(one_more.receiving())
        with bodies.of("initech") as other, other.receiving():
            pass
    with bodies.of("acme") as later, later.receiving():
        pass
