"""Memory of large responses: the limits, and the order of waiting requests."""

import asyncio

import pytest

from gateway.http.response_memory import ResponseMemory
from gateway.limits.rejections import RejectedError

LIMIT, FLOOR = 80, 4
NO_WAIT, LONG_WAIT = 0.0, 5.0


def memory(wait_seconds: float = NO_WAIT) -> ResponseMemory:
    return ResponseMemory(LIMIT, floor=FLOOR, wait_seconds=wait_seconds)


async def run_until_waiting(reserving: asyncio.Task[None]) -> None:
    """Let a task run until it waits."""
    await asyncio.sleep(0)
    assert not reserving.done()


async def test_response_memory_gives_one_organization_at_most_half():
    shared = memory()
    await shared.reservation("a").acquire(LIMIT // 2)

    with pytest.raises(RejectedError) as refused:
        await shared.reservation("a").acquire(1)

    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "2")
    assert shared.in_use == LIMIT // 2


async def test_small_organizations_have_a_quarter_when_all_is_reserved():
    shared = memory()
    for name in "ab":
        await shared.reservation(name).acquire(LIMIT // 2)
    small = [shared.reservation(str(number)) for number in range(LIMIT // 4 // FLOOR)]
    for each in small:
        await each.acquire(FLOOR)

    with pytest.raises(RejectedError):
        await shared.reservation("one more").acquire(1)
    with pytest.raises(RejectedError):
        await small[0].acquire(1)


async def test_released_memory_goes_to_a_waiting_request():
    shared = memory(LONG_WAIT)
    first, second = shared.reservation("a"), shared.reservation("a")
    await first.acquire(LIMIT // 2)
    reserving = asyncio.create_task(second.acquire(10))
    await run_until_waiting(reserving)

    first.release(10)
    await reserving

    assert (first.size, second.size, shared.in_use) == (30, 10, 40)


async def test_released_memory_goes_to_the_smallest_organization_first():
    shared = memory(LONG_WAIT)
    large, other, small = (shared.reservation(name) for name in ("a", "b", "c"))
    await large.acquire(LIMIT // 2 - 10)
    await other.acquire(LIMIT // 2)
    await small.acquire(10)
    order: list[str] = []

    async def reserve(name: str) -> None:
        await shared.reservation(name).acquire(10)
        order.append(name)

    waiting = [asyncio.create_task(reserve(name)) for name in "ac"]
    await run_until_waiting(waiting[-1])
    other.release(10)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    other.release(10)
    await asyncio.gather(*waiting)

    assert order == ["c", "a"]


async def test_memory_goes_to_the_next_request_after_a_cancellation():
    shared = memory(LONG_WAIT)
    held = shared.reservation("a")
    await held.acquire(LIMIT // 2 - 5)
    large = asyncio.create_task(shared.reservation("a").acquire(10))
    await run_until_waiting(large)
    small = asyncio.create_task(shared.reservation("a").acquire(5))
    await run_until_waiting(small)

    large.cancel()
    await small

    assert shared.in_use == LIMIT // 2


async def test_memory_granted_to_a_cancelled_request_is_released():
    shared = memory(LONG_WAIT)
    held = shared.reservation("a")
    await held.acquire(LIMIT // 2)
    waiting = asyncio.create_task(shared.reservation("a").acquire(10))
    await run_until_waiting(waiting)

    held.release_all()
    waiting.cancel()
    await asyncio.wait([waiting])

    assert shared.in_use == 0


async def test_memory_of_a_part_is_released_with_the_part():
    shared = memory()
    reservation = shared.reservation("a")
    await reservation.acquire(3)
    async with reservation.for_part() as part:
        await part.acquire(7)
        assert shared.in_use == 10

    assert (reservation.size, shared.in_use) == (3, 3)
