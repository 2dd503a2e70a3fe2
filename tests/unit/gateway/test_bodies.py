"""The bytes of bodies: how many are held at once, and whose."""

from contextlib import suppress

import pytest

from gateway.bodies import Bodies
from gateway.turned_away import TurnedAwayError


def test_what_is_answered_is_held_no_longer():
    bodies = Bodies(100)
    for _ in range(5):
        with bodies.of("acme") as hold:
            hold(20)
            hold(20)
            assert bodies.held == 40
    assert bodies.held == 0


def test_one_organization_holds_half_at_most_and_leaves_the_other_half_to_others():
    bodies = Bodies(100)
    with bodies.of("acme") as hold, bodies.of("acme") as hold_more, bodies.of("initech") as other:
        hold(30)
        hold_more(20)
        with pytest.raises(TurnedAwayError) as turned_away:
            hold(1)
        other(50)

    assert turned_away.value.status == 503
    assert turned_away.value.headers == {"Retry-After": "2"}
    assert bodies.held == 0


def test_all_together_hold_no_more_than_there_is():
    bodies = Bodies(100)
    with bodies.of("acme") as one, bodies.of("initech") as two, bodies.of("globex") as three:
        one(40)
        two(40)
        with pytest.raises(TurnedAwayError):
            three(21)
        three(20)  # what was refused is not counted


def test_a_request_that_failed_gives_back_what_it_held():
    bodies = Bodies(100)
    with suppress(ValueError), bodies.of("acme") as hold:
        hold(50)
        raise ValueError

    with bodies.of("acme") as hold:
        hold(50)
