"""`make overload`: measures throughput at one, two and four times the peak, and prints a table.

Fails if a response is wrong, or if throughput at the highest load is below the goal.
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from tests.support.stack import Stack, running_stack
from tools.benchmarks.processes import cpu_of_families, resident_bytes
from tools.benchmarks.work import Work
from tools.overload.load import Connections, Item, Outcome, connected, in_turn
from tools.overload.tenants import tenants

CONCURRENCIES = (8, 16, 32, 64)
LOADS = (1, 2, 4)
PROCESSES = ("gateway", "usersvc", "keysvc")
SERVICE = (*PROCESSES, "postgres")
CLIENT = "client"
PREPARED_REQUESTS = 20_000
GOAL = 0.9
"""The required throughput at the highest load, as a share of the peak."""
HEADER = (
    f"{'load':<15} {'offered/s':>9} {'ok/s':>8} {'503/s':>7} {'429/s':>6} {'wrong':>6}"
    f" {'unsent':>7} {'p50 ms':>7} {'p99 ms':>7} {'CPU µs':>7}"
    f" {' '.join(f'{each:>8}' for each in (CLIENT, *SERVICE))}"
    f"  MiB: {', '.join(PROCESSES)}"
)


@dataclass(frozen=True)
class Measured:
    """The measurements of one load."""

    name: str
    outcome: Outcome
    cpus: dict[str, float]
    """CPU seconds of each process of the service, of its database, and of the load client."""
    memory: list[int]

    @property
    def cpu(self) -> float:
        """CPU seconds of the service and its database."""
        return sum(seconds for name, seconds in self.cpus.items() if name != CLIENT)

    @property
    def cost(self) -> float:
        """CPU microseconds per correct response; the cost of rejected requests is included."""
        return self.cpu / max(1, self.outcome.correct) * 1e6

    def row(self) -> str:
        o = self.outcome
        shed, limited = (o.shed[status] / o.seconds for status in (503, 429))
        memory = ", ".join(f"{each / 2**20:.0f}" for each in self.memory)
        busy = " ".join(f"{self.cpus[each] / o.seconds:>8.0%}" for each in (CLIENT, *SERVICE))
        return (
            f"{self.name:<15} {o.offered / o.seconds:>9,.0f} {o.rate:>8,.0f} {shed:>7,.0f}"
            f" {limited:>6,.0f} {len(o.wrong):>6} {o.unsent:>7} {o.percentile(50):>7.0f}"
            f" {o.percentile(99):>7.0f} {self.cost:>7,.0f} {busy}  {memory}"
        )


class Bench:
    """Measures loads on a running region."""

    def __init__(self, stack: Stack, works: list[Work], operation: str) -> None:
        parts = urlsplit(stack.url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._stack = stack
        self._requests = in_turn([getattr(work, operation)() for work in works])

    async def keep_busy(self, number: int, seconds: float) -> Measured:
        """Measure `number` connections with one request at a time each."""
        return await self._measured(
            f"{number} connections",
            number,
            lambda connections, requests: connections.keep_busy(requests, seconds),
        )

    async def offer(self, name: str, rate: float, number: int, seconds: float) -> Measured:
        """Measure `rate` requests a second over `number` connections."""
        return await self._measured(
            name,
            number,
            lambda connections, requests: connections.offer(requests, rate, seconds),
        )

    async def _measured(
        self,
        name: str,
        number: int,
        run: Callable[[Connections, Iterator[Item]], Awaitable[Outcome]],
    ) -> Measured:
        # Prepared in advance, so that the service does not wait for the client.
        prepared = iter(list(itertools.islice(self._requests, PREPARED_REQUESTS)))
        async with connected(self._address, number) as connections:
            before = self._cpus()
            outcome = await run(connections, itertools.chain(prepared, self._requests))
            cpus = {name: seconds - before[name] for name, seconds in self._cpus().items()}
        memory = [resident_bytes(self._stack.pid(process)) for process in PROCESSES]
        measured = Measured(name, outcome, cpus, memory)
        print(measured.row(), flush=True)
        return measured

    def _cpus(self) -> dict[str, float]:
        cpus = {name: cpu_of_families([self._stack.pid(name)]) for name in SERVICE}
        return {CLIENT: time.process_time(), **cpus}


@dataclass(frozen=True)
class Share:
    """Throughput at the highest load, as a share of the peak just before and after it."""

    of_time: float
    """Correct responses per second."""
    of_cpu: float
    """Correct responses per CPU second of the service, so independent of other programs."""


async def measure(stack: Stack, options: argparse.Namespace) -> tuple[list[str], list[Share]]:
    """Measure all loads; returns the wrong responses and the share of the peak of each round."""
    bench = Bench(stack, await tenants(stack, options.organizations), options.operation)
    print(HEADER)
    for number in CONCURRENCIES:  # warm up
        await bench.keep_busy(number, options.seconds)
    steps = [await bench.keep_busy(number, options.seconds) for number in CONCURRENCIES]
    number = max(zip(CONCURRENCIES, steps, strict=True), key=lambda step: step[1].outcome.rate)[0]
    peaks = [await bench.keep_busy(number, options.seconds)]
    shares = []

    async def load(times: int) -> Measured:
        rate = peaks[-1].outcome.rate * times
        name = f"{times} x the peak"
        return await bench.offer(name, rate, options.connections, options.seconds)

    steps += [await load(times) for times in LOADS[:-1]]
    for _ in range(options.rounds):
        loaded = await load(LOADS[-1])
        peaks.append(await bench.keep_busy(number, options.seconds))
        shares.append(share(loaded, peaks[-2:]))
        steps.append(loaded)
    return [wrong for each in steps + peaks for wrong in each.outcome.wrong], shares


def share(loaded: Measured, peaks: list[Measured]) -> Share:
    """Compare a load with the peaks next to it, because the speed of a shared machine changes."""
    return Share(
        loaded.outcome.rate / statistics.mean(each.outcome.rate for each in peaks),
        statistics.mean(each.cost for each in peaks) / loaded.cost,
    )


def split_cores() -> tuple[set[int], set[int]]:
    """The cores of the service and the core of the load client, so that they do not compete.

    Up to two cores are shared: on a single core the four processes of the service would preempt
    each other all the time, which is not realistic.
    """
    cores = sorted(os.sched_getaffinity(0))
    return (set(cores[:-1]), {cores[-1]}) if len(cores) > 2 else (set(cores), set(cores))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of each load")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--connections", type=int, default=512, help="connections of the multiples of the peak"
    )
    parser.add_argument("--organizations", type=int, default=4)
    parser.add_argument("--operation", choices=("mix", "get", "filter", "create"), default="mix")
    options = parser.parse_args()
    of_service, of_client = split_cores()
    shared = ", shared with the load client" if of_client <= of_service else ""
    print(f"the service has {len(of_service)} of {len(of_service | of_client)} cores{shared}")
    os.sched_setaffinity(0, of_service)
    with tempfile.TemporaryDirectory(prefix="overload-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's account must be able to traverse it
        with running_stack(Path(name)) as stack:
            os.sched_setaffinity(0, of_client)
            wrong, shares = uvloop.run(measure(stack, options))
    of_time = statistics.median(share.of_time for share in shares)
    of_cpu = statistics.median(share.of_cpu for share in shares)
    print(
        f"\nat {LOADS[-1]} times the peak's load: {of_time:.0%} of the peak's throughput, "
        f"{of_cpu:.0%} of its responses per CPU second "
        f"(medians of {len(shares)} rounds; the goal is {GOAL:.0%} "
        "of the throughput)"
    )
    for what in sorted(set(wrong)):
        print(f"    wrong: {what} ({wrong.count(what)})")
    return 1 if wrong or of_time < GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
