"""FairSemaphore: limits on slots and queue, fairness between keys, batched release."""

import asyncio
from collections import Counter

import pytest

from chassis.batching.limits import RELEASE_LINGER_SECONDS
from chassis.concurrency.fair_semaphore import QUEUE_PER_SLOT, FairSemaphore
from tests.support.waiting import pace

SLOTS = 8
LONG_SECONDS = 30.0


class Full(Exception):  # noqa: N818 - a rejection, not a fault
    """The rejection of a caller without a slot."""


class Holders:
    """Callers that acquire a slot and hold it until the test ends them."""

    def __init__(self, slots: FairSemaphore) -> None:
        self._slots = slots
        self._exits: list[tuple[str, asyncio.Event]] = []
        self.holding: Counter[str] = Counter()
        self.order: list[str] = []
        self.refused: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        self._admitted = asyncio.Event()

    async def send(self, organization_id: str, number: int) -> list[asyncio.Task[None]]:
        """Start `number` callers at once."""
        tasks = [asyncio.create_task(self._hold(organization_id)) for _ in range(number)]
        self.tasks.update(tasks)
        await self._settle()
        return tasks

    async def end(self, number: int) -> None:
        """End the holders that were admitted first."""
        for _ in range(number):
            self._exits.pop(0)[1].set()
            await self._settle()

    async def end_all(self) -> None:
        """End all holders, including those that are admitted meanwhile."""
        while self._exits:
            await self.end(1)

    async def wait_until_admitted(self, number: int) -> None:
        """Wait until `number` callers have been admitted."""
        while len(self.order) < number:
            self._admitted.clear()
            await self._admitted.wait()

    async def _hold(self, organization_id: str) -> None:
        exit_event = asyncio.Event()
        try:
            await self._slots.acquire(organization_id)
        except Full:
            self.refused[organization_id] += 1
            return
        self.holding[organization_id] += 1
        self.order.append(organization_id)
        self._admitted.set()
        self._exits.append((organization_id, exit_event))
        try:
            await exit_event.wait()
        finally:
            self.holding[organization_id] -= 1
            self._slots.release(organization_id)

    async def _settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_one_key_holds_at_most_half_of_the_slots():
    slots = FairSemaphore(SLOTS, Full, LONG_SECONDS)
    holders = Holders(slots)

    await holders.send("greedy", 100)
    await holders.send("modest", 2)

    assert (holders.holding["greedy"], holders.holding["modest"]) == (SLOTS // 2, 2)


async def test_a_full_queue_rejects_further_callers_immediately():
    slots = FairSemaphore(SLOTS, Full, LONG_SECONDS)
    holders = Holders(slots)

    await holders.send("greedy", 100)

    waiting = SLOTS * QUEUE_PER_SLOT // 2
    assert slots.waiting == waiting
    assert holders.refused["greedy"] == 100 - SLOTS // 2 - waiting


async def test_a_free_slot_goes_to_the_key_that_holds_the_fewest():
    slots = FairSemaphore(SLOTS, Full, LONG_SECONDS)
    holders = Holders(slots)
    await holders.send("greedy", 10)
    await holders.send("other", 10)
    await holders.send("modest", 3)
    before = len(holders.order)

    await holders.end(2)

    assert holders.order[before:] == ["modest", "modest"]


async def test_a_flood_of_one_key_delays_another_by_one_turn():
    """Both keys are served equally often, although one sends 50 times more calls."""
    slots = FairSemaphore(2, Full, LONG_SECONDS)
    holders = Holders(slots)
    for _ in range(20):
        await holders.send("greedy", 50)
        await holders.send("modest", 1)
        await holders.end(2)

    assert holders.refused["modest"] == 0
    assert holders.order.count("modest") == 20
    assert holders.refused["greedy"] > 900


async def test_a_waiter_is_rejected_after_wait_seconds_and_leaves_no_state():
    slots = FairSemaphore(SLOTS, Full, 0.02)
    holders = Holders(slots)
    tasks = await holders.send("acme", SLOTS)

    await asyncio.wait(tasks[SLOTS // 2 :])

    assert holders.refused["acme"] == SLOTS // 2
    assert (slots.waiting, slots.in_use) == (0, SLOTS // 2)


async def test_a_cancelled_waiter_leaves_no_state():
    slots = FairSemaphore(2, Full, LONG_SECONDS)
    holders = Holders(slots)
    _, waiting, next_waiter = await holders.send("acme", 3)

    waiting.cancel()
    await holders.end(1)

    assert holders.order == ["acme", "acme"]
    assert not next_waiter.done()
    assert (slots.waiting, slots.in_use) == (0, 1)


async def test_a_waiter_cancelled_as_its_slot_is_granted_returns_the_slot():
    slots = FairSemaphore(2, Full, LONG_SECONDS)
    holders = Holders(slots)
    _, waiting, next_waiter = await holders.send("acme", 3)

    holders._exits.pop(0)[1].set()
    for _ in range(10):
        if slots.waiting == 1:  # the slot is granted, and the waiter has not run yet
            break
        await asyncio.sleep(0)
    waiting.cancel()
    await holders._settle()

    assert waiting.cancelled()
    assert holders.holding["acme"] == 1
    assert not next_waiter.done()
    assert (slots.waiting, slots.in_use) == (0, 1)


async def test_a_slot_released_as_a_waiter_is_cancelled_goes_to_the_next():
    slots = FairSemaphore(2, Full, LONG_SECONDS)
    await slots.acquire("acme")
    waiting, next_waiter = (asyncio.create_task(slots.acquire("acme")) for _ in range(2))
    await asyncio.sleep(0)

    waiting.cancel()
    slots.release("acme")
    await asyncio.wait([waiting, next_waiter])

    assert waiting.cancelled()
    assert next_waiter.exception() is None
    assert (slots.waiting, slots.in_use) == (0, 1)


@pytest.mark.parametrize("batched", [False, True])
async def test_slots_are_neither_lost_nor_added_by_random_use(batched: bool):
    slots = FairSemaphore(SLOTS, Full, 0.01, batched_release=batched)
    holders = Holders(slots)
    for number in range(200):
        tasks = await holders.send(f"organization {number % 5}", 1 + number % 7)
        assert slots.in_use <= SLOTS
        if number % 3 == 0:
            tasks[0].cancel()
        if number % 2 and holders._exits:
            await holders.end(1)
        if number % 10 == 0:
            await pace(0.012)  # longer than the longest wait
    while any(not task.done() for task in holders.tasks):
        await holders.end(len(holders._exits))
        await pace(0.002)  # a part of the longest wait

    assert (slots.in_use, slots.waiting) == (0, 0)
    assert slots._held == {}
    assert slots._queues == {}


def batching(linger_seconds: float = LONG_SECONDS) -> FairSemaphore:
    """A semaphore with batched release; by default a slow machine does not end a linger."""
    return FairSemaphore(
        SLOTS, Full, LONG_SECONDS, batched_release=True, linger_seconds=linger_seconds
    )


async def contended(linger_seconds: float = LONG_SECONDS) -> tuple[FairSemaphore, Holders]:
    """A semaphore with batched release whose slots two keys hold, with more waiters of both."""
    slots = batching(linger_seconds)
    holders = Holders(slots)
    await holders.send("acme", 10)
    await holders.send("initech", 10)
    return slots, holders


async def test_batched_release_waits_until_half_of_the_slots_are_free():
    """At that time half of the slots that the waiters may hold are free."""
    slots, holders = await contended()

    await holders.end(SLOTS // 2 - 1)
    assert (len(holders.order), slots.in_use) == (SLOTS, SLOTS // 2 + 1)
    await holders.end(1)
    assert (len(holders.order), slots.in_use) == (SLOTS + SLOTS // 2, SLOTS)


async def test_batched_release_for_one_key_waits_for_half_of_its_share():
    slots = batching()
    holders = Holders(slots)
    await holders.send("acme", 20)

    await holders.end(1)
    assert slots.in_use == SLOTS // 2 - 1
    await holders.end(1)
    assert slots.in_use == SLOTS // 2


async def test_batched_release_hands_out_slots_after_linger_time():
    slots, holders = await contended(RELEASE_LINGER_SECONDS)

    await holders.end(1)
    assert (len(holders.order), slots.in_use) == (SLOTS, SLOTS - 1)
    async with asyncio.timeout(LONG_SECONDS):
        await holders.wait_until_admitted(SLOTS + 1)
    assert (len(holders.order), slots.in_use) == (SLOTS + 1, SLOTS)


async def test_batched_release_is_immediate_with_slots_for_all_waiters():
    slots = batching()
    holders = Holders(slots)
    await holders.send("acme", 4)
    await holders.send("initech", 4)
    await holders.send("modest", 1)

    await holders.end(1)

    assert holders.order[-1] == "modest"


async def test_a_newcomer_does_not_overtake_waiters_while_slots_linger():
    slots = batching()
    holders = Holders(slots)
    for key in ("acme", "initech"):
        await holders.send(key, 4)
    for key in ("acme", "initech", "umbrella"):
        await holders.send(key, 2)
    await holders.end(2)
    before = len(holders.order)
    assert slots.in_use == SLOTS - 2

    await holders.send("late", 1)
    assert len(holders.order) == before
    await holders.end(2)
    assert holders.order[before:].index("umbrella") < holders.order[before:].index("late")


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_semaphore_of_few_slots_admits_a_caller(number: int):
    holders = Holders(FairSemaphore(number, Full, LONG_SECONDS))

    await holders.send("acme", 1)

    assert holders.holding["acme"] == 1


async def test_a_third_key_displaces_a_waiter_of_a_full_queue():
    """The displaced waiter is the newest one of the key with the most waiters."""
    slots = FairSemaphore(SLOTS, Full, LONG_SECONDS)
    holders = Holders(slots)
    first = await holders.send("one", 100)
    await holders.send("two", 100)
    queue_size, refused = SLOTS * QUEUE_PER_SLOT, holders.refused.total()

    assert slots.waiting == queue_size
    assert slots.would_admit("three")
    assert not slots.would_admit("one")
    await holders.send("three", 2)

    assert slots.waiting == queue_size
    assert holders.refused["three"] == 0
    assert holders.refused.total() == refused + 2
    assert not first[SLOTS // 2].done()  # the waiter that has waited longest
    await holders.end(2)
    assert holders.holding["three"] > 0
    await holders.end_all()
    assert (slots.in_use, slots.waiting) == (0, 0)


@pytest.mark.parametrize("turns", range(5))
async def test_a_waiter_cancelled_as_it_is_displaced_adds_no_slot(turns: int):
    slots = FairSemaphore(1, Full, LONG_SECONDS, queue=6)
    holders = Holders(slots)
    newest = (await holders.send("one", 4))[-1]
    await holders.send("two", 3)

    third = asyncio.create_task(holders.send("three", 1))
    for _ in range(turns):
        await asyncio.sleep(0)
    newest.cancel()
    await third

    assert (slots.in_use, slots.waiting) == (1, 6)
    await holders.end_all()
    assert (slots.in_use, slots.waiting) == (0, 0)
    assert holders.order.count("one") == 3
    assert holders.order.count("three") == 1


async def test_try_acquire_takes_a_free_slot_within_the_share():
    slots = FairSemaphore(4, Full)
    assert [slots.try_acquire("acme") for _ in range(3)] == [True, True, False]
    assert [slots.try_acquire("initech") for _ in range(3)] == [True, True, False]
    slots.release("acme")
    assert slots.try_acquire("acme")
    assert slots.in_use == 4


async def test_try_acquire_takes_no_slot_while_a_caller_waits():
    slots = FairSemaphore(4, Full, share=2)
    holders = Holders(slots)
    await holders.send("acme", 3)  # two hold slots, one waits for its share
    assert not slots.try_acquire("initech")
    await holders.end_all()
    assert slots.try_acquire("initech")
