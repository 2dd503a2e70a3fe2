"""FairSemaphore: a bounded number of slots, a bounded queue, and no name takes all."""

import asyncio
from collections import Counter

import pytest

from chassis.batching.limits import RELEASE_LINGER_SECONDS
from chassis.concurrency.fair_semaphore import QUEUE_PER_SLOT, FairSemaphore
from tests.support.waiting import pace

NUMBER = 8
LONG = 30.0


class Full(Exception):  # noqa: N818 - an answer, not a fault
    """There is no place."""


class Visitors:
    """Requests that take a place and keep it until they are told to go."""

    def __init__(self, slots: FairSemaphore) -> None:
        self._slots = slots
        self._leave: list[tuple[str, asyncio.Event]] = []
        self.inside: Counter[str] = Counter()
        self.order: list[str] = []
        self.refused: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        self._admitted = asyncio.Event()

    async def send(self, organization_id: str, number: int) -> list[asyncio.Task[None]]:
        """So many come at once."""
        tasks = [asyncio.create_task(self._visit(organization_id)) for _ in range(number)]
        self.tasks.update(tasks)
        await self._settle()
        return tasks

    async def end(self, number: int) -> None:
        """Those that came in first go."""
        for _ in range(number):
            self._leave.pop(0)[1].set()
            await self._settle()

    async def end_all(self) -> None:
        """All go, and those who get their slots."""
        while self._leave:
            await self.end(1)

    async def admitted(self, number: int) -> None:
        """Wait until so many have got a slot."""
        while len(self.order) < number:
            self._admitted.clear()
            await self._admitted.wait()

    async def _visit(self, organization_id: str) -> None:
        leave = asyncio.Event()
        try:
            await self._slots.acquire(organization_id)
        except Full:
            self.refused[organization_id] += 1
            return
        self.inside[organization_id] += 1
        self.order.append(organization_id)
        self._admitted.set()
        self._leave.append((organization_id, leave))
        try:
            await leave.wait()
        finally:
            self.inside[organization_id] -= 1
            self._slots.release(organization_id)

    async def _settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_one_name_holds_at_most_half_of_the_slots():
    slots = FairSemaphore(NUMBER, Full, LONG)
    visitors = Visitors(slots)

    await visitors.send("greedy", 100)
    await visitors.send("modest", 2)

    assert (visitors.inside["greedy"], visitors.inside["modest"]) == (NUMBER // 2, 2)


async def test_a_full_queue_rejects_further_callers_immediately():
    slots = FairSemaphore(NUMBER, Full, LONG)
    visitors = Visitors(slots)

    await visitors.send("greedy", 100)

    waiting = NUMBER * QUEUE_PER_SLOT // 2
    assert slots.waiting == waiting
    assert visitors.refused["greedy"] == 100 - NUMBER // 2 - waiting


async def test_a_free_slot_goes_to_the_name_that_holds_the_fewest():
    slots = FairSemaphore(NUMBER, Full, LONG)
    visitors = Visitors(slots)
    await visitors.send("greedy", 10)
    await visitors.send("other", 10)
    await visitors.send("modest", 3)
    before = len(visitors.order)

    await visitors.end(2)

    assert visitors.order[before:] == ["modest", "modest"]


async def test_a_flood_of_one_name_delays_another_by_one_turn():
    """The modest one is served as many times as the greedy one, though that sends 50 times more."""
    slots = FairSemaphore(2, Full, LONG)
    visitors = Visitors(slots)
    for _ in range(20):
        await visitors.send("greedy", 50)
        await visitors.send("modest", 1)
        await visitors.end(2)

    assert visitors.refused["modest"] == 0
    assert visitors.order.count("modest") == 20
    assert visitors.refused["greedy"] > 900


async def test_a_waiter_is_rejected_after_wait_seconds_and_leaves_no_state():
    slots = FairSemaphore(NUMBER, Full, 0.02)
    visitors = Visitors(slots)
    tasks = await visitors.send("acme", NUMBER)

    await asyncio.wait(tasks[NUMBER // 2 :])

    assert visitors.refused["acme"] == NUMBER // 2
    assert (slots.waiting, slots.in_use) == (0, NUMBER // 2)


async def test_a_cancelled_waiter_leaves_no_state():
    slots = FairSemaphore(2, Full, LONG)
    visitors = Visitors(slots)
    _, waiting, next_one = await visitors.send("acme", 3)

    waiting.cancel()
    await visitors.end(1)

    assert visitors.order == ["acme", "acme"]
    assert not next_one.done()
    assert (slots.waiting, slots.in_use) == (0, 1)


async def test_a_waiter_cancelled_as_its_slot_is_granted_returns_the_slot():
    slots = FairSemaphore(2, Full, LONG)
    visitors = Visitors(slots)
    _, waiting, next_one = await visitors.send("acme", 3)

    visitors._leave.pop(0)[1].set()
    for _ in range(10):
        if slots.waiting == 1:  # its turn has come, and it does not know yet
            break
        await asyncio.sleep(0)
    waiting.cancel()
    await visitors._settle()

    assert waiting.cancelled()
    assert visitors.inside["acme"] == 1
    assert not next_one.done()
    assert (slots.waiting, slots.in_use) == (0, 1)


async def test_a_slot_released_as_a_waiter_is_cancelled_goes_to_the_next():
    slots = FairSemaphore(2, Full, LONG)
    await slots.acquire("acme")
    waiting, next_one = (asyncio.create_task(slots.acquire("acme")) for _ in range(2))
    await asyncio.sleep(0)

    waiting.cancel()
    slots.release("acme")
    await asyncio.wait([waiting, next_one])

    assert waiting.cancelled()
    assert next_one.exception() is None
    assert (slots.waiting, slots.in_use) == (0, 1)


@pytest.mark.parametrize("batched", [False, True])
async def test_slots_are_neither_lost_nor_added_by_random_use(batched: bool):
    slots = FairSemaphore(NUMBER, Full, 0.01, batched_release=batched)
    visitors = Visitors(slots)
    for number in range(200):
        tasks = await visitors.send(f"organization {number % 5}", 1 + number % 7)
        assert slots.in_use <= NUMBER
        if number % 3 == 0:
            tasks[0].cancel()
        if number % 2 and visitors._leave:
            await visitors.end(1)
        if number % 10 == 0:
            await pace(0.012)  # longer than the longest wait
    while any(not task.done() for task in visitors.tasks):
        await visitors.end(len(visitors._leave))
        await pace(0.002)  # a part of the longest wait

    assert (slots.in_use, slots.waiting) == (0, 0)
    assert slots._held == {}
    assert slots._queues == {}


def batching(linger_seconds: float = LONG) -> FairSemaphore:
    """A semaphore with batched release; by default a slow machine does not end a linger."""
    return FairSemaphore(NUMBER, Full, LONG, batched_release=True, linger_seconds=linger_seconds)


async def crowded(linger_seconds: float = LONG) -> tuple[FairSemaphore, Visitors]:
    """A semaphore with batched release whose slots two names hold, with more waiters of both."""
    slots = batching(linger_seconds)
    visitors = Visitors(slots)
    await visitors.send("acme", 10)
    await visitors.send("initech", 10)
    return slots, visitors


async def test_batched_release_waits_until_half_of_the_slots_are_free():
    """Half of the slots that they may have are free then."""
    slots, visitors = await crowded()

    await visitors.end(NUMBER // 2 - 1)
    assert (len(visitors.order), slots.in_use) == (NUMBER, NUMBER // 2 + 1)
    await visitors.end(1)
    assert (len(visitors.order), slots.in_use) == (NUMBER + NUMBER // 2, NUMBER)


async def test_batched_release_of_one_name_waits_for_half_of_its_share():
    slots = batching()
    visitors = Visitors(slots)
    await visitors.send("acme", 20)

    await visitors.end(1)
    assert slots.in_use == NUMBER // 2 - 1
    await visitors.end(1)
    assert slots.in_use == NUMBER // 2


async def test_batched_release_hands_out_slots_after_linger_time():
    slots, visitors = await crowded(RELEASE_LINGER_SECONDS)

    await visitors.end(1)
    assert (len(visitors.order), slots.in_use) == (NUMBER, NUMBER - 1)
    async with asyncio.timeout(LONG):
        await visitors.admitted(NUMBER + 1)
    assert (len(visitors.order), slots.in_use) == (NUMBER + 1, NUMBER)


async def test_batched_release_is_immediate_with_slots_for_all_waiters():
    slots = batching()
    visitors = Visitors(slots)
    await visitors.send("acme", 4)
    await visitors.send("initech", 4)
    await visitors.send("modest", 1)

    await visitors.end(1)

    assert visitors.order[-1] == "modest"


async def test_a_newcomer_does_not_overtake_waiters_while_slots_linger():
    slots = batching()
    visitors = Visitors(slots)
    for name in ("acme", "initech"):
        await visitors.send(name, 4)
    for name in ("acme", "initech", "umbrella"):
        await visitors.send(name, 2)
    await visitors.end(2)
    before = len(visitors.order)
    assert slots.in_use == NUMBER - 2

    await visitors.send("late", 1)
    assert len(visitors.order) == before
    await visitors.end(2)
    assert visitors.order[before:].index("umbrella") < visitors.order[before:].index("late")


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_semaphore_of_few_slots_admits_a_caller(number: int):
    visitors = Visitors(FairSemaphore(number, Full, LONG))

    await visitors.send("acme", 1)

    assert visitors.inside["acme"] == 1


async def test_a_third_name_displaces_a_waiter_of_a_full_queue():
    """It takes the turn of the newest of whoever has the most, not of those that wait longest."""
    slots = FairSemaphore(NUMBER, Full, LONG)
    visitors = Visitors(slots)
    first = await visitors.send("one", 100)
    await visitors.send("two", 100)
    room, refused = NUMBER * QUEUE_PER_SLOT, visitors.refused.total()

    assert slots.waiting == room
    assert slots.would_admit("three")
    assert not slots.would_admit("one")
    await visitors.send("three", 2)

    assert slots.waiting == room
    assert visitors.refused["three"] == 0
    assert visitors.refused.total() == refused + 2
    assert not first[NUMBER // 2].done()  # the one that has waited longest
    await visitors.end(2)
    assert visitors.inside["three"] > 0
    await visitors.end_all()
    assert (slots.in_use, slots.waiting) == (0, 0)


@pytest.mark.parametrize("turns", range(5))
async def test_a_waiter_cancelled_as_it_is_displaced_adds_no_slot(turns: int):
    slots = FairSemaphore(1, Full, LONG, queue=6)
    visitors = Visitors(slots)
    newest = (await visitors.send("one", 4))[-1]
    await visitors.send("two", 3)

    third = asyncio.create_task(visitors.send("three", 1))
    for _ in range(turns):
        await asyncio.sleep(0)
    newest.cancel()
    await third

    assert (slots.in_use, slots.waiting) == (1, 6)
    await visitors.end_all()
    assert (slots.in_use, slots.waiting) == (0, 0)
    assert visitors.order.count("one") == 3
    assert visitors.order.count("three") == 1
