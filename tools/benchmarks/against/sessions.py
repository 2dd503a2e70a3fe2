"""Sends two regions the same requests at the same time and records the cost of each round.

Both sides run at once, because other programs on a shared machine raise the CPU time of a request:
they take caches, cores and clock rate. This way they affect both sides alike. The CPU time of each
process is counted separately. Alternating rounds of half a second needed four to nine times as long
for the same precision, on two cores with a load of 13 (Bulej et al., "Duet Benchmarking: Improving
Measurement Accuracy in the Cloud", 2020).

A session starts both regions, warms them up and runs a few rounds of each operation. The memory
layout and the hash seed of a process are fixed at its start, so a session gives one observation: a
long run of one pair of processes would measure that pair precisely and say little about the code
(Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", 2013).
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
"""Wait after the last response: logs are still written, and their cost belongs to the round."""
PROBE_REQUESTS = 4
"""Requests per connection to estimate an operation's cost; no round has fewer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a session."""

    users: int = 1_000
    connections: int = 32
    """Per side."""
    rounds: int = 2
    """Per operation."""
    round_seconds: float = 0.5
    """CPU time of a round on one side."""
    analyze_seconds: float = 75.0
    """Wait until PostgreSQL has statistics of the new tables: autovacuum visits a database once a
    minute. Without them the two sides may plan the same statement differently."""


@dataclass(frozen=True, slots=True)
class _Region:
    """One side while it runs."""

    workload: Workload
    processes: RegionProcesses


class Sessions:
    """Runs sessions one after the other. Each side keeps its data between sessions."""

    def __init__(self, trees: Mapping[str, Tree], folder: Path, plan: Plan) -> None:
        """`trees` has one tree per side. Data goes to `folder`, which PostgreSQL's account must be
        able to traverse."""
        self._trees = trees
        self._folder = folder
        self._plan = plan
        self._workloads = {side: Workload() for side in SIDES}
        self._requests: dict[str, int] = {}
        self._count = 0

    async def prepare(self, operations: Iterable[str]) -> None:
        """Create the users on both sides and choose the number of requests of a round."""
        for side in SIDES:
            (self._folder / side).mkdir()
        async with self._regions() as regions:
            for region in regions.values():
                await region.workload.fill(self._plan.users)
            filled = time.monotonic()
            await self._calibrate(with_counterparts(operations), regions)
            await asyncio.sleep(self._plan.analyze_seconds - (time.monotonic() - filled))

    async def run(self, operations: Iterable[str]) -> list[Round]:
        """The rounds of one session; counterparts that undo operations run but are not counted."""
        measured = set(operations)
        needed = with_counterparts(measured)
        self._count += 1
        rounds: list[Round] = []
        async with self._regions() as regions:
            for number in range(self._plan.rounds + 1):
                for operation in needed:
                    result = await self._round(operation, regions, order(self._count + number))
                    if number > 0 and operation in measured:  # the first warms up
                        rounds.append(result)
        return rounds

    @asynccontextmanager
    async def _regions(self) -> AsyncIterator[dict[str, _Region]]:
        """Both sides in new processes, with the data of the previous session."""
        sides = order(self._count)
        async with AsyncExitStack() as stack:
            regions = await _run_concurrently(self._started(side, stack) for side in sides)
            yield dict(zip(sides, regions, strict=True))

    async def _started(self, side: str, stack: AsyncExitStack) -> _Region:
        environment = process_environment(self._count)
        started = running(self._trees[side], self._folder / side, environment)
        region = await stack.enter_async_context(started)
        self._workloads[side].use_address(region.address)
        return _Region(self._workloads[side], region.processes)

    async def _calibrate(self, operations: Sequence[str], regions: Mapping[str, _Region]) -> None:
        """Choose the number of requests of a round by CPU time, which other load affects little."""
        probe = PROBE_REQUESTS * self._plan.connections
        self._requests = dict.fromkeys(operations, min(probe, self._plan.users // 2))
        for _ in range(2):  # the first warms up
            rounds = [await self._round(each, regions, SIDES) for each in operations]
        for probed in rounds:
            undone = UNDOES.get(probed.operation)
            self._requests[probed.operation] = (
                self._requests[undone] if undone else self._requests_of_round(probed)
            )

    def _requests_of_round(self, probe: Round) -> int:
        requests = max(probe.requests, int(self._plan.round_seconds * 1e6 / probe.base.services))
        # No user that a round adds may be a member before it.
        return min(requests, self._plan.users) if probe.operation == "member-add" else requests

    async def _round(
        self, operation: str, regions: Mapping[str, _Region], sides: Iterable[str]
    ) -> Round:
        """Send both sides the same requests at the same time; `sides` has the order of starting."""
        requests = self._requests[operation]
        async with AsyncExitStack() as stack:
            connections = {
                side: await stack.enter_async_context(
                    region.workload.connected(self._plan.connections)
                )
                for side, region in regions.items()
            }
            before = {side: region.processes.cpu_time() for side, region in regions.items()}
            await _run_concurrently(
                regions[side].workload.run(operation, requests, connections[side]) for side in sides
            )
            await asyncio.sleep(SETTLE_SECONDS)
            costs = {
                side: _cost(region.processes.cpu_time() - before[side], requests)
                for side, region in regions.items()
            }
        return Round(self._count, operation, requests, costs[BASE], costs[HEAD])


async def _run_concurrently(work: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Run coroutines concurrently; the first error cancels the others and is raised itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _cost(used: CpuTime, requests: int) -> Cost:
    return Cost(used.services / requests * 1e6, used.postgres / requests * 1e6)
