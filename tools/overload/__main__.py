"""`make overload`: measures throughput at up to four times the peak, through the edge.

Four organizations send an Entra mix through Envoy, which runs with the limits of the manifests,
from 64 addresses. At each multiple of the peak, one organization sends 90 % of the requests. Fails
if a response is wrong, if throughput at the highest load is below the goal, or if one of the other
organizations gets fewer responses than the goal.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from tests.support.edge.edges import us
from tests.support.edge.envoys import Edge, running_edge
from tests.support.stack import Stack, running_stack
from tools.benchmarks.processes import cpu_of_families, resident_bytes
from tools.benchmarks.work import Work
from tools.overload.load import Connections, Item, Outcome, Target, connected
from tools.overload.tenants import tenants

Run = Coroutine[Any, Any, Outcome]
HOST: Final = "127.0.0.1"
CONCURRENCIES: Final = (8, 16, 32, 64)
LOADS: Final = (1, 2, 4)
ORGANIZATIONS: Final = 4
FLOOD_SHARE: Final = 0.9
"""The share of the load that one organization sends."""
OTHERS_CONNECTIONS: Final = 64
"""The least connections of an organization, so that it can send its share of the load."""
SOURCES: Final = tuple(f"127.0.1.{number}" for number in range(1, 65))
PROCESSES: Final = ("gateway", "usersvc", "keysvc")
SERVICE: Final = (*PROCESSES, "postgres")
CLIENT: Final = "client"
EDGE: Final = "envoy"
PREPARED_REQUESTS: Final = 20_000
GOAL: Final = 0.9
"""The required throughput at the highest load, as a share of the peak; and the required share of
the requests of each other organization that get a correct response."""
HEADER: Final = (
    f"{'load':<15} {'offered/s':>9} {'ok/s':>8} {'503/s':>7} {'429/s':>6} {'wrong':>6}"
    f" {'unsent':>7} {'p50 ms':>7} {'p99 ms':>7} {'others':>7} {'CPU µs':>7}"
    f" {' '.join(f'{each:>8}' for each in (CLIENT, EDGE, *SERVICE))}"
    f"  MiB: {', '.join(PROCESSES)}"
)


@dataclass(frozen=True)
class Measured:
    """The measurements of one load."""

    name: str
    outcomes: list[Outcome]
    """One for each organization; the first is the one that sends the most."""
    cpus: dict[str, float]
    """CPU seconds of each process of the service, of its database, the edge and the load client."""
    memory: list[int]

    @property
    def rate(self) -> float:
        """Correct responses per second of all organizations."""
        return sum(outcome.rate for outcome in self.outcomes)

    @property
    def others(self) -> float:
        """The smallest share of the requests of another organization that were served."""
        return min(each.correct / max(1, each.offered) for each in self.outcomes[1:])

    @property
    def wrong(self) -> list[str]:
        return [wrong for outcome in self.outcomes for wrong in outcome.wrong]

    @property
    def cost(self) -> float:
        """CPU microseconds of the service and its database per correct response.

        The cost of rejected requests is included, that of the edge and the client is not.
        """
        seconds = sum(self.cpus[name] for name in SERVICE)
        return seconds / max(1, sum(each.correct for each in self.outcomes)) * 1e6

    def row(self) -> str:
        seconds = self.outcomes[0].seconds
        offered, unsent = (
            sum(getattr(each, name) for each in self.outcomes) for name in ("offered", "unsent")
        )
        shed, limited = (
            sum(each.shed[status] for each in self.outcomes) / seconds for status in (503, 429)
        )
        memory = ", ".join(f"{each / 2**20:.0f}" for each in self.memory)
        busy = " ".join(f"{self.cpus[each] / seconds:>8.0%}" for each in (CLIENT, EDGE, *SERVICE))
        p50, p99 = (_percentile(self.outcomes, percent) for percent in (50, 99))
        return (
            f"{self.name:<15} {offered / seconds:>9,.0f} {self.rate:>8,.0f} {shed:>7,.0f}"
            f" {limited:>6,.0f} {len(self.wrong):>6} {unsent:>7} {p50:>7.0f} {p99:>7.0f}"
            f" {self.others:>7.0%} {self.cost:>7,.0f} {busy}  {memory}"
        )


def _percentile(outcomes: list[Outcome], percent: float) -> float:
    """A latency percentile of the correct responses of all organizations, in milliseconds."""
    return Outcome(latencies=[each for of in outcomes for each in of.latencies]).percentile(percent)


class Bench:
    """Measures loads on a running region behind an edge."""

    def __init__(self, stack: Stack, edge: Edge, works: list[Work], operation: str) -> None:
        self._stack = stack
        self._edge = edge
        self._target = Target((HOST, edge.port), edge.context(), edge.host, SOURCES)
        self._requests = [work.at(edge.host).operation(operation) for work in works]

    async def keep_busy(self, number: int, seconds: float) -> Measured:
        """Measure `number` connections, equally many of each organization."""
        each = number // len(self._requests)

        def run(connections: Connections, requests: Iterator[Item], _: int) -> Run:
            return connections.keep_busy(requests, seconds)

        return await self._measured(f"{number} connections", [each] * len(self._requests), run)

    async def offer(self, name: str, rate: float, number: int, seconds: float) -> Measured:
        """Measure `rate` requests a second over `number` connections.

        One organization sends FLOOD_SHARE of the requests.
        """
        others = len(self._requests) - 1
        shares = [FLOOD_SHARE, *[(1 - FLOOD_SHARE) / others] * others]

        def run(connections: Connections, requests: Iterator[Item], index: int) -> Run:
            return connections.offer(requests, rate * shares[index], seconds)

        numbers = [max(OTHERS_CONNECTIONS, int(number * each)) for each in shares]
        return await self._measured(name, numbers, run)

    async def _measured(
        self,
        name: str,
        numbers: list[int],
        run: Callable[[Connections, Iterator[Item], int], Run],
    ) -> Measured:
        # Prepared in advance, so that the service does not wait for the client.
        prepared = [
            itertools.chain(list(itertools.islice(each, PREPARED_REQUESTS // number)), each)
            for each, number in zip(self._requests, numbers, strict=True)
        ]
        async with AsyncExitStack() as stack:
            pools = [
                await stack.enter_async_context(connected(self._target, number))
                for number in numbers
            ]
            before = self._cpus()
            outcomes = await asyncio.gather(
                *(run(*both, index) for index, both in enumerate(zip(pools, prepared, strict=True)))
            )
            cpus = {name: seconds - before[name] for name, seconds in self._cpus().items()}
        memory = [resident_bytes(self._stack.pid(process)) for process in PROCESSES]
        measured = Measured(name, outcomes, cpus, memory)
        print(measured.row(), flush=True)
        return measured

    def _cpus(self) -> dict[str, float]:
        cpus = {name: cpu_of_families([self._stack.pid(name)]) for name in SERVICE}
        edge = cpu_of_families([self._edge.process_id])
        return {CLIENT: time.process_time(), EDGE: edge, **cpus}


@dataclass(frozen=True)
class Share:
    """Throughput at the highest load, as a share of the peak just before and after it."""

    of_time: float
    """Correct responses per second."""
    of_cpu: float
    """Correct responses per CPU second of the service, so independent of other programs."""
    of_others: float
    """The smallest share of another organization's requests that got a correct response."""


async def measure(
    stack: Stack, edge: Edge, options: argparse.Namespace
) -> tuple[list[str], list[Share]]:
    """Measure all loads; returns the wrong responses and the shares of each round."""
    works = await tenants(stack, ORGANIZATIONS)
    bench = Bench(stack, edge, works, options.operation)
    print(HEADER)
    for number in CONCURRENCIES:  # warm up
        await bench.keep_busy(number, options.seconds)
    steps = [await bench.keep_busy(number, options.seconds) for number in CONCURRENCIES]
    number = max(zip(CONCURRENCIES, steps, strict=True), key=lambda step: step[1].rate)[0]
    peaks = [await bench.keep_busy(number, options.seconds)]
    shares = []

    async def load(times: int) -> Measured:
        rate = peaks[-1].rate * times
        name = f"{times} x the peak"
        return await bench.offer(name, rate, options.connections, options.seconds)

    steps += [await load(times) for times in LOADS[:-1]]
    for _ in range(options.rounds):
        loaded = await load(LOADS[-1])
        peaks.append(await bench.keep_busy(number, options.seconds))
        shares.append(share(loaded, peaks[-2:]))
        steps.append(loaded)
    return [wrong for each in steps + peaks for wrong in each.wrong], shares


def share(loaded: Measured, peaks: list[Measured]) -> Share:
    """Compare a load with the peaks next to it, because the speed of a shared machine changes."""
    return Share(
        loaded.rate / statistics.mean(each.rate for each in peaks),
        statistics.mean(each.cost for each in peaks) / loaded.cost,
        loaded.others,
    )


def split_cores() -> tuple[set[int], set[int]]:
    """The cores of the service and the edge, and the core of the load client.

    Up to two cores are shared: on a single core the processes of the service would preempt each
    other all the time, which is not realistic.
    """
    cores = sorted(os.sched_getaffinity(0))
    return (set(cores[:-1]), {cores[-1]}) if len(cores) > 2 else (set(cores), set(cores))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of each load")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--connections", type=int, default=320, help="connections at the multiples of the peak"
    )
    parser.add_argument("--operation", choices=("mix", "get", "filter", "create"), default="mix")
    options = parser.parse_args()
    of_service, of_client = split_cores()
    shared = ", shared with the load client" if of_client <= of_service else ""
    print(f"the service has {len(of_service)} of {len(of_service | of_client)} cores{shared}")
    os.sched_setaffinity(0, of_service)
    with tempfile.TemporaryDirectory(prefix="overload-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's account must be able to traverse it
        with running_stack(folder) as stack:
            parts = urlsplit(stack.url)
            gateway = (parts.hostname or "", parts.port or 0)
            with running_edge(us(), folder / "edge", gateway) as edge:
                os.sched_setaffinity(0, of_client)
                wrong, shares = uvloop.run(measure(stack, edge, options))
    return report(wrong, shares)


def report(wrong: list[str], shares: list[Share]) -> int:
    """Print the medians and the wrong responses; 1 if a goal is missed."""
    of_time, of_cpu, of_others = (
        statistics.median(getattr(share, name) for share in shares)
        for name in ("of_time", "of_cpu", "of_others")
    )
    print(
        f"\nat {LOADS[-1]} times the peak's load (medians of {len(shares)} rounds): {of_time:.0%} "
        f"of the peak's throughput, {of_cpu:.0%} of its responses per CPU second; of the requests "
        f"of each other organization {of_others:.0%} or more are served (the goals are {GOAL:.0%} "
        "of the throughput and of those requests)"
    )
    for what in sorted(set(wrong)):
        print(f"    wrong: {what} ({wrong.count(what)})")
    return 1 if wrong or min(of_time, of_others) < GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
