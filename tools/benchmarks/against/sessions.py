"""Loads two regions with the same requests at the same time, and records what each round cost.

Both sides run at once: other programs on a shared machine make CPU time dearer, as they take
caches, cores and clock rate, and this way they do so for both sides alike. The CPU time of each
process is counted apart. Alternating rounds of half a second needed four to nine times as long for
the same precision, on two cores with a load of 13 (Bulej et al., "Duet Benchmarking: Improving
Measurement Accuracy in the Cloud", 2020).

A session starts both regions, warms them up and runs a few rounds of each operation. The layout of
memory and the seed of hashes differ from process to process and stay for its life, so a session
gives one observation: a long run of one pair of processes would be precise about that pair and say
little about the code (Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", 2013).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tools.benchmarks.against.checkout import Tree
from tools.benchmarks.against.cpu import CpuTime, RegionProcesses
from tools.benchmarks.against.region import running
from tools.benchmarks.against.rounds import (
    BASE,
    HEAD,
    SIDES,
    Cost,
    Round,
    order,
    process_environment,
)
from tools.benchmarks.against.workload import UNDOES, Workload, with_counterparts

Result = TypeVar("Result")
SETTLE_SECONDS = 0.05
"""After the last response logs are still written; their cost belongs to the round."""


PROBE_REQUESTS = 4
"""Of each connection, to find out what an operation costs; no round has fewer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a session is made up."""

    users: int = 1_000
    connections: int = 32
    """Of each side."""
    rounds: int = 2
    """Of each operation."""
    round_seconds: float = 0.5
    """CPU time that a round takes of one side."""
    analyze_seconds: float = 75.0
    """Until PostgreSQL has statistics of the new tables: autovacuum visits a database once a
    minute. Without them the two sides may plan the same statement differently."""


@dataclass(frozen=True, slots=True)
class _Region:
    """One side while it runs."""

    workload: Workload
    processes: RegionProcesses


class Sessions:
    """Runs sessions one after the other. Each side keeps its data from session to session."""

    def __init__(self, trees: Mapping[str, Tree], folder: Path, plan: Plan) -> None:
        """`trees` has one for each side; `folder` takes their data, and PostgreSQL's account must
        be able to pass through it."""
        self._trees = trees
        self._folder = folder
        self._plan = plan
        self._workloads = {side: Workload() for side in SIDES}
        self._requests: dict[str, int] = {}
        self._count = 0

    async def prepare(self, operations: Iterable[str]) -> None:
        """Create the users on both sides, and find out how many requests make a round."""
        for side in SIDES:
            (self._folder / side).mkdir()
        async with self._regions() as regions:
            for region in regions.values():
                await region.workload.fill(self._plan.users)
            filled = time.monotonic()
            await self._calibrate(with_counterparts(operations), regions)
            await asyncio.sleep(self._plan.analyze_seconds - (time.monotonic() - filled))

    async def run(self, operations: Iterable[str]) -> list[Round]:
        """The rounds of one session; what operations leave behind is undone without counting."""
        measured = set(operations)
        needed = with_counterparts(measured)
        self._count += 1
        rounds: list[Round] = []
        async with self._regions() as regions:
            for number in range(self._plan.rounds + 1):
                for operation in needed:
                    found = await self._round(operation, regions, order(self._count + number))
                    if number > 0 and operation in measured:  # the first warms up
                        rounds.append(found)
        return rounds

    @asynccontextmanager
    async def _regions(self) -> AsyncIterator[dict[str, _Region]]:
        """Both sides in fresh processes, with the data of the session before."""
        sides = order(self._count)
        async with AsyncExitStack() as stack:
            regions = await _together(self._started(side, stack) for side in sides)
            yield dict(zip(sides, regions, strict=True))

    async def _started(self, side: str, stack: AsyncExitStack) -> _Region:
        environment = process_environment(self._count)
        started = running(self._trees[side], self._folder / side, environment)
        region = await stack.enter_async_context(started)
        self._workloads[side].moved_to(region.address)
        return _Region(self._workloads[side], region.processes)

    async def _calibrate(self, operations: Sequence[str], regions: Mapping[str, _Region]) -> None:
        """Find out how many requests make a round, by CPU time: it depends little on other load."""
        probe = PROBE_REQUESTS * self._plan.connections
        self._requests = dict.fromkeys(operations, min(probe, self._plan.users // 2))
        for _ in range(2):  # the first warms up
            rounds = [await self._round(each, regions, SIDES) for each in operations]
        for found in rounds:
            undone = UNDOES.get(found.operation)
            self._requests[found.operation] = (
                self._requests[undone] if undone else self._requests_of_round(found)
            )

    def _requests_of_round(self, probe: Round) -> int:
        wanted = max(probe.requests, int(self._plan.round_seconds * 1e6 / probe.base.services))
        # All that a round adds to the group has to be outside before.
        return min(wanted, self._plan.users) if probe.operation == "member-add" else wanted

    async def _round(
        self, operation: str, regions: Mapping[str, _Region], sides: Iterable[str]
    ) -> Round:
        """Send both sides the same requests at the same time; `sides` says which begins."""
        requests = self._requests[operation]
        async with AsyncExitStack() as stack:
            connections = {
                side: await stack.enter_async_context(
                    region.workload.connected(self._plan.connections)
                )
                for side, region in regions.items()
            }
            before = {side: region.processes.cpu_time() for side, region in regions.items()}
            await _together(
                regions[side].workload.run(operation, requests, connections[side]) for side in sides
            )
            await asyncio.sleep(SETTLE_SECONDS)
            costs = {
                side: _cost(region.processes.cpu_time() - before[side], requests)
                for side, region in regions.items()
            }
        return Round(self._count, operation, requests, costs[BASE], costs[HEAD])


async def _together(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results of all; the first error ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _cost(used: CpuTime, requests: int) -> Cost:
    return Cost(used.services / requests * 1e6, used.postgres / requests * 1e6)
