"""Steps of a bulk request that run at the same time, and the slots that they hold."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

import pytest

from chassis.concurrency.fair_semaphore import FairSemaphore
from gateway.api.concurrent_steps import MAX_CONCURRENT, ConcurrentSteps
from gateway.api.request import NoExtraSlots
from gateway.limits.rejections import no_slot
from gateway.scim.bulk.schedule import Schedule

ACME, INITECH = "acme", "initech"


class Slots:
    """The slots of one organization."""

    def __init__(self, semaphore: FairSemaphore) -> None:
        self._semaphore = semaphore

    def try_acquire(self) -> bool:
        return self._semaphore.try_acquire(ACME)

    def release(self) -> None:
        self._semaphore.release(ACME)

    def measure(self, part: Coroutine[Any, Any, None]) -> Awaitable[None]:
        return part


class Steps:
    """Steps that last until the test ends them."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self._ends: dict[int, asyncio.Event] = {}

    async def execute(self, step: int) -> None:
        self.started.append(step)
        end = self._ends[step] = asyncio.Event()
        await end.wait()

    async def end(self, *steps: int) -> None:
        for step in steps:
            self._ends[step].set()
        await settled()


async def settled() -> None:
    """Let all tasks run until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


def independent(number: int) -> Schedule:
    return Schedule([{}] * number)


async def test_steps_give_up_their_slots_while_another_request_waits():
    semaphore, steps = FairSemaphore(4, no_slot, share=4), Steps()
    await semaphore.acquire(ACME)
    run = ConcurrentSteps(independent(9), steps.execute, Slots(semaphore)).run()
    running = asyncio.create_task(run)
    await settled()
    assert (steps.started, semaphore.in_use) == ([0, 1, 2, 3], 4)

    waiting = asyncio.create_task(semaphore.acquire(INITECH))
    await settled()
    await steps.end(0)
    await waiting

    assert (steps.started, semaphore.in_use) == ([0, 1, 2, 3], 4)
    semaphore.release(INITECH)
    for step in range(1, 9):
        await steps.end(step)
    await running
    assert (sorted(steps.started), semaphore.in_use) == (list(range(9)), 1)


async def test_cancelled_steps_return_their_slots_and_start_no_others():
    semaphore, steps = FairSemaphore(64, no_slot), Steps()
    await semaphore.acquire(ACME)
    run = ConcurrentSteps(independent(40), steps.execute, Slots(semaphore)).run()
    running = asyncio.create_task(run)
    await settled()

    asyncio.get_running_loop().call_soon(running.cancel)
    await steps.end(0, 1)  # in the same iteration of the event loop: their successors never begin
    with pytest.raises(asyncio.CancelledError):
        await running

    assert steps.started == list(range(MAX_CONCURRENT))
    assert semaphore.in_use == 1


async def test_error_in_a_step_cancels_the_others():
    semaphore, steps = FairSemaphore(64, no_slot), Steps()
    await semaphore.acquire(ACME)

    async def execute(step: int) -> None:
        if step == 3:
            raise RuntimeError("a fault")
        await steps.execute(step)

    with pytest.raises(ExceptionGroup):
        await ConcurrentSteps(independent(40), execute, Slots(semaphore)).run()
    assert len(steps.started) <= MAX_CONCURRENT
    assert semaphore.in_use == 1


async def test_steps_run_in_order_without_extra_slots():
    order: list[int] = []

    async def execute(step: int) -> None:
        order.append(step)
        await asyncio.sleep(0)
        order.append(step)

    await ConcurrentSteps(independent(3), execute, NoExtraSlots()).run()
    assert order == [0, 0, 1, 1, 2, 2]
