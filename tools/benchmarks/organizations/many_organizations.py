"""Measures requests to all organizations in turn beside requests to one, and memory."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tools.benchmarks.client import Bound, Item, drive
from tools.benchmarks.organizations import topics
from tools.benchmarks.organizations.results import Reading, Result
from tools.benchmarks.organizations.rounds import (
    CONNECTIONS,
    Plan,
    Question,
    Side,
    compare,
    summarize,
)
from tools.benchmarks.organizations.tenant import PEOPLE_OF_MANY, SMALL, Tenants
from tools.benchmarks.processes import resident_bytes
from tools.benchmarks.subjects import Server
from tools.benchmarks.work import Work

PROCESSES: Final = ("gateway", "usersvc", "keysvc")
WARM_SECONDS: Final = 10.0
MOST_GROWTH_PERCENT: Final = 10.0
OPERATIONS: Final = ("get", "patch", "mix")

Add = Callable[[Result], None]


def memory(tenants: Tenants) -> dict[str, float]:
    """The resident memory of each process, in megabytes of 10^6 bytes."""
    return {name: resident_bytes(tenants.stack.pid(name)) / 1e6 for name in PROCESSES}


async def measure(tenants: Tenants, plan: Plan, add: Add) -> dict[str, float]:
    """Measure cold keys, then warm ones. Returns the processes' memory after the first pass."""
    works = _works(tenants)
    before = memory(tenants)
    await _cold(tenants, works, plan, add)
    after = memory(tenants)
    for name in PROCESSES:
        note = f"{before[name]:,.1f} before the first request"
        what = f"{name}, after {len(works):,} organizations"
        add(Reading(topics.MEMORY, what, round(after[name], 1), "MB", note=note))
    remaining = itertools.cycle(works)
    for operation in OPERATIONS:
        warm = await _warmed(tenants, remaining, len(works))
        await _warm(tenants, warm, operation, plan, add)
    return after


async def growth(
    tenants: Tenants, plan: Plan, earlier: dict[str, float], began: float, add: Add
) -> None:
    """Measure the growth of the processes since an earlier time, with the same keys in use."""
    iterators = [work.mix() for work in _works(tenants)]
    items = (next(each) for each in itertools.cycle(iterators))
    bound = Bound(10**9, plan.hold_seconds)
    sample = await drive(tenants.small.address, CONNECTIONS, items, bound)
    minutes = (time.monotonic() - began) / 60
    for name, now in memory(tenants).items():
        reading = Reading(
            topics.MEMORY,
            f"{name}, growth since then",
            round((now / earlier[name] - 1) * 100, 1),
            "%",
            MOST_GROWTH_PERCENT,
            f"{now:,.1f} MB after {minutes:,.0f} minutes",
            sample.wrong,
            sample.first_wrong,
        )
        add(reading)


def _works(tenants: Tenants) -> list[Work]:
    people = range(30, 30 + PEOPLE_OF_MANY)
    numbers = range(1, tenants.sizes.organizations + 1)
    return [tenants.of_organization(number, people).work for number in numbers]


async def _cold(tenants: Tenants, works: Sequence[Work], plan: Plan, add: Add) -> None:
    """The first request of each organization; each round has organizations of its own."""
    rounds = []
    share = -(-len(works) // plan.rounds)
    one = Side("1 organization", tenants.small, tenants.small.work.get())
    await one.run(Bound(10**9, plan.seconds / 2))
    side = _side(tenants.small, works, iter(()))
    # The key of SMALL has been used already.
    unused = [work for number, work in enumerate(works, 1) if number != SMALL]
    for start in range(0, len(unused), share):
        chunk = unused[start : start + share]
        side = _side(tenants.small, works, (next(work.get()) for work in chunk))
        measured = await side.run(Bound(len(chunk), 60))
        rounds.append((measured, await one.run(Bound(10**9, plan.seconds))))
    add(summarize(Question(topics.MANY, "get, cold keys", None), side, one, rounds))


async def _warmed(tenants: Tenants, works: Iterator[Work], most: int) -> list[Work]:
    """Send a request for each organization. Returns those that were reached within WARM_SECONDS.

    The gateway keeps a key for 30 s. On a slow machine the first keys of a longer pass would have
    expired at its end.
    """
    reached: list[Work] = []

    def items() -> Iterator[Item]:
        for work in itertools.islice(works, most):
            reached.append(work)
            yield next(work.get())

    await drive(tenants.small.address, CONNECTIONS, items(), Bound(most, WARM_SECONDS))
    return reached


async def _warm(
    tenants: Tenants, works: Sequence[Work], operation: str, plan: Plan, add: Add
) -> None:
    one = Side("1 organization", tenants.small, tenants.small.work.operation(operation))
    iterators = [work.operation(operation) for work in works]
    side = _side(tenants.small, works, (next(each) for each in itertools.cycle(iterators)))
    add(await compare(Question(topics.MANY, f"{operation}, warm keys"), side, one, plan))


def _side(server: Server, works: Sequence[Work], items: Iterator[Item]) -> Side:
    return Side(f"{len(works):,} organizations", server, items)
