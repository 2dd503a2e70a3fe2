"""Places: a bounded number, a bounded wait, and no name takes all."""

import asyncio
from collections import Counter

import pytest

import chassis.concurrency.fair_semaphore
from chassis.concurrency.fair_semaphore import WAITING_PER_PLACE, Places
from tests.support.waiting import eventually, pace

NUMBER = 8
LONG = 30.0


class Full(Exception):  # noqa: N818 - an answer, not a fault
    """There is no place."""


class Visitors:
    """Requests that take a place and keep it until they are told to go."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._leave: list[tuple[str, asyncio.Event]] = []
        self.inside: Counter[str] = Counter()
        self.order: list[str] = []
        self.refused: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()

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
        """All go, and those who get their places."""
        while self._leave:
            await self.end(1)

    async def _visit(self, organization_id: str) -> None:
        leave = asyncio.Event()
        try:
            await self._places.take(organization_id)
        except Full:
            self.refused[organization_id] += 1
            return
        self.inside[organization_id] += 1
        self.order.append(organization_id)
        self._leave.append((organization_id, leave))
        try:
            await leave.wait()
        finally:
            self.inside[organization_id] -= 1
            self._places.give_back(organization_id)

    async def _settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_one_organization_has_half_of_the_places_whoever_else_is_there_or_not():
    places = Places(NUMBER, Full, LONG)
    visitors = Visitors(places)

    await visitors.send("greedy", 100)
    await visitors.send("modest", 2)

    assert (visitors.inside["greedy"], visitors.inside["modest"]) == (NUMBER // 2, 2)


async def test_as_many_wait_as_there_is_room_for_and_the_others_are_refused_at_once():
    places = Places(NUMBER, Full, LONG)
    visitors = Visitors(places)

    await visitors.send("greedy", 100)

    waiting = NUMBER * WAITING_PER_PLACE // 2
    assert places.waiting == waiting
    assert visitors.refused["greedy"] == 100 - NUMBER // 2 - waiting


async def test_the_next_place_is_for_whoever_has_the_fewest():
    places = Places(NUMBER, Full, LONG)
    visitors = Visitors(places)
    await visitors.send("greedy", 10)
    await visitors.send("other", 10)
    await visitors.send("modest", 3)
    before = len(visitors.order)

    await visitors.end(2)

    assert visitors.order[before:] == ["modest", "modest"]


async def test_a_flood_of_one_organization_costs_another_one_no_more_than_its_turn():
    """The modest one is served as many times as the greedy one, though that sends 50 times more."""
    places = Places(2, Full, LONG)
    visitors = Visitors(places)
    for _ in range(20):
        await visitors.send("greedy", 50)
        await visitors.send("modest", 1)
        await visitors.end(2)

    assert visitors.refused["modest"] == 0
    assert visitors.order.count("modest") == 20
    assert visitors.refused["greedy"] > 900


async def test_who_waits_too_long_is_refused_and_leaves_nothing_behind():
    places = Places(NUMBER, Full, 0.02)
    visitors = Visitors(places)
    tasks = await visitors.send("acme", NUMBER)

    await asyncio.wait(tasks[NUMBER // 2 :])

    assert visitors.refused["acme"] == NUMBER // 2
    assert (places.waiting, places.running) == (0, NUMBER // 2)


async def test_who_gives_up_while_waiting_leaves_nothing_behind():
    places = Places(2, Full, LONG)
    visitors = Visitors(places)
    _, waiting, next_one = await visitors.send("acme", 3)

    waiting.cancel()
    await visitors.end(1)

    assert visitors.order == ["acme", "acme"]
    assert not next_one.done()
    assert (places.waiting, places.running) == (0, 1)


async def test_who_gives_up_in_the_moment_of_its_turn_passes_it_on():
    places = Places(2, Full, LONG)
    visitors = Visitors(places)
    _, waiting, next_one = await visitors.send("acme", 3)

    visitors._leave.pop(0)[1].set()
    for _ in range(10):
        if places.waiting == 1:  # its turn has come, and it does not know yet
            break
        await asyncio.sleep(0)
    waiting.cancel()
    await visitors._settle()

    assert waiting.cancelled()
    assert visitors.inside["acme"] == 1
    assert not next_one.done()
    assert (places.waiting, places.running) == (0, 1)


async def test_a_place_that_gets_free_in_the_moment_when_somebody_gives_up_is_for_the_next():
    places = Places(2, Full, LONG)
    await places.take("acme")
    waiting, next_one = (asyncio.create_task(places.take("acme")) for _ in range(2))
    await asyncio.sleep(0)

    waiting.cancel()
    places.give_back("acme")
    await asyncio.wait([waiting, next_one])

    assert waiting.cancelled()
    assert next_one.exception() is None
    assert (places.waiting, places.running) == (0, 1)


@pytest.mark.parametrize("bunches", [False, True])
async def test_whatever_happens_places_are_neither_lost_nor_made(bunches: bool):
    places = Places(NUMBER, Full, 0.01, bunches=bunches)
    visitors = Visitors(places)
    for number in range(200):
        tasks = await visitors.send(f"organization {number % 5}", 1 + number % 7)
        assert places.running <= NUMBER
        if number % 3 == 0:
            tasks[0].cancel()
        if number % 2 and visitors._leave:
            await visitors.end(1)
        if number % 10 == 0:
            await pace(0.012)  # longer than the longest wait
    while any(not task.done() for task in visitors.tasks):
        await visitors.end(len(visitors._leave))
        await pace(0.002)  # a part of the longest wait

    assert (places.running, places.waiting) == (0, 0)
    assert places._taken == {}
    assert places._queues == {}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch):
    """Bunches take their time: a slow machine does not end it."""
    monkeypatch.setattr(chassis.concurrency.fair_semaphore, "BUNCH_SECONDS", LONG)


async def crowded() -> tuple[Places, Visitors]:
    """Places with bunches, all taken by two names of which more wait."""
    places = Places(NUMBER, Full, LONG, bunches=True)
    visitors = Visitors(places)
    await visitors.send("acme", 10)
    await visitors.send("initech", 10)
    return places, visitors


@pytest.mark.usefixtures("patient")
async def test_in_bunches_those_who_wait_are_let_in_together():
    """Half of the places that they may have are free then."""
    places, visitors = await crowded()

    await visitors.end(NUMBER // 2 - 1)
    assert (len(visitors.order), places.running) == (NUMBER, NUMBER // 2 + 1)
    await visitors.end(1)
    assert (len(visitors.order), places.running) == (NUMBER + NUMBER // 2, NUMBER)


@pytest.mark.usefixtures("patient")
async def test_in_bunches_one_that_waits_alone_has_a_share_to_fill_and_no_more():
    places = Places(NUMBER, Full, LONG, bunches=True)
    visitors = Visitors(places)
    await visitors.send("acme", 20)

    await visitors.end(1)
    assert places.running == NUMBER // 2 - 1
    await visitors.end(1)
    assert places.running == NUMBER // 2


async def test_in_bunches_nobody_waits_for_more_than_a_moment():
    places, visitors = await crowded()

    await visitors.end(1)
    await eventually(lambda: places.running >= NUMBER)
    assert len(visitors.order) == NUMBER + 1


@pytest.mark.usefixtures("patient")
async def test_in_bunches_all_who_wait_are_let_in_at_once_if_all_can_be():
    places = Places(NUMBER, Full, LONG, bunches=True)
    visitors = Visitors(places)
    await visitors.send("acme", 4)
    await visitors.send("initech", 4)
    await visitors.send("modest", 1)

    await visitors.end(1)

    assert visitors.order[-1] == "modest"


@pytest.mark.usefixtures("patient")
async def test_nobody_who_comes_while_a_bunch_gathers_overtakes_those_who_wait():
    places = Places(NUMBER, Full, LONG, bunches=True)
    visitors = Visitors(places)
    for name in ("acme", "initech"):
        await visitors.send(name, 4)
    for name in ("acme", "initech", "umbrella"):
        await visitors.send(name, 2)
    await visitors.end(2)
    before = len(visitors.order)
    assert places.running == NUMBER - 2

    await visitors.send("late", 1)
    assert len(visitors.order) == before
    await visitors.end(2)
    assert visitors.order[before:].index("umbrella") < visitors.order[before:].index("late")


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_however_few_places_there_are_somebody_gets_in(number: int):
    visitors = Visitors(Places(number, Full, LONG))

    await visitors.send("acme", 1)

    assert visitors.inside["acme"] == 1


async def test_a_third_finds_room_though_two_fill_it():
    """It takes the turn of the newest of whoever has the most, not of those that wait longest."""
    places = Places(NUMBER, Full, LONG)
    visitors = Visitors(places)
    first = await visitors.send("one", 100)
    await visitors.send("two", 100)
    room, refused = NUMBER * WAITING_PER_PLACE, visitors.refused.total()

    assert places.waiting == room
    assert places.has_room("three")
    assert not places.has_room("one")
    await visitors.send("three", 2)

    assert places.waiting == room
    assert visitors.refused["three"] == 0
    assert visitors.refused.total() == refused + 2
    assert not first[NUMBER // 2].done()  # the one that has waited longest
    await visitors.end(2)
    assert visitors.inside["three"] > 0
    await visitors.end_all()
    assert (places.running, places.waiting) == (0, 0)


@pytest.mark.parametrize("turns", range(5))
async def test_who_gives_up_while_it_is_displaced_leaves_no_place_too_many(turns: int):
    places = Places(1, Full, LONG, room=6)
    visitors = Visitors(places)
    newest = (await visitors.send("one", 4))[-1]
    await visitors.send("two", 3)

    third = asyncio.create_task(visitors.send("three", 1))
    for _ in range(turns):
        await asyncio.sleep(0)
    newest.cancel()
    await third

    assert (places.running, places.waiting) == (1, 6)
    await visitors.end_all()
    assert (places.running, places.waiting) == (0, 0)
    assert visitors.order.count("one") == 3
    assert visitors.order.count("three") == 1
