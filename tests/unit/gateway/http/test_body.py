"""Memory of request bodies: limits in total and by organization."""

from contextlib import ExitStack, suppress

import pytest

from gateway.http.body import MAX_RECEIVING, BodyMemory
from gateway.limits.rejections import RejectedError


def test_body_memory_is_released_after_the_response():
    bodies = BodyMemory(100, floor=0)
    for _ in range(5):
        with bodies.reservation("acme") as first:
            first.acquire(20)
            first.acquire(20)
            assert bodies.in_use == 40
    assert bodies.in_use == 0


def test_body_memory_gives_one_organization_at_most_half():
    bodies = BodyMemory(100, floor=0)
    with (
        bodies.reservation("acme") as first,
        bodies.reservation("acme") as second,
        bodies.reservation("initech") as other,
    ):
        first.acquire(30)
        second.acquire(20)
        with pytest.raises(RejectedError) as rejected:
            first.acquire(1)
        other.acquire(50)

    assert rejected.value.status == 503
    assert rejected.value.headers == {"Retry-After": "2"}
    assert bodies.in_use == 0


def test_body_memory_refuses_bytes_over_the_total():
    bodies = BodyMemory(100, floor=0)
    with (
        bodies.reservation("acme") as one,
        bodies.reservation("initech") as two,
        bodies.reservation("globex") as three,
    ):
        one.acquire(40)
        two.acquire(40)
        with pytest.raises(RejectedError):
            three.acquire(21)
        three.acquire(20)  # the refused bytes are not counted


def test_body_memory_is_released_when_the_request_fails():
    bodies = BodyMemory(100, floor=0)
    with suppress(ValueError), bodies.reservation("acme") as first:
        first.acquire(50)
        raise ValueError

    with bodies.reservation("acme") as first:
        first.acquire(50)


def test_body_memory_below_the_floor_may_use_the_extra_quarter():
    bodies = BodyMemory(100, floor=10)
    with bodies.reservation("acme") as one, bodies.reservation("initech") as two:
        one.acquire(50)
        two.acquire(50)
        for name in ("globex", "umbrella"):
            with bodies.reservation(name) as small:
                small.acquire(10)
                with pytest.raises(RejectedError):
                    small.acquire(1)
        with (
            bodies.reservation("a") as a,
            bodies.reservation("b") as b,
            bodies.reservation("c") as c,
        ):
            a.acquire(10)
            b.acquire(10)
            with pytest.raises(RejectedError):  # the reserve is limited, too
                c.acquire(10)


def test_bodies_arriving_at_once_are_limited_by_organization():
    bodies = BodyMemory()
    with ExitStack() as arriving:
        for _ in range(MAX_RECEIVING):
            arriving.enter_context(arriving.enter_context(bodies.reservation("acme")).receiving())
        with bodies.reservation("acme") as one_more, pytest.raises(RejectedError):
            arriving.enter_context(one_more.receiving())
        with bodies.reservation("initech") as other, other.receiving():
            pass
    with bodies.reservation("acme") as later, later.receiving():
        pass
