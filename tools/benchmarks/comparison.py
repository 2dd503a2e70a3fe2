"""Measures all subjects in turns, with the same operations on the same machine."""

import statistics
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.benchmarks.baselines.bare_asyncpg import bare_asyncpg
from tools.benchmarks.baselines.bare_http import bare_http
from tools.benchmarks.baselines.pgbench import pgbench
from tools.benchmarks.client import Bound, Sample
from tools.benchmarks.peers.servers import PEERS
from tools.benchmarks.service import service, without_hop
from tools.benchmarks.subjects import Server, Subject, UnavailableError

CONNECTIONS = (1, 32)


@dataclass(frozen=True)
class Row:
    """The medians of a subject's rounds."""

    operation: str
    connections: int
    subject: str
    rate: float
    """Correct responses per second."""
    p50: float
    """Milliseconds."""
    p99: float
    cpu: float
    """CPU microseconds per request, of all processes and the database."""
    client: float
    """CPU microseconds of the load client per request; 0 if the subject is its own client."""
    wrong: int
    requests: int
    first_wrong: str = ""


@dataclass(frozen=True)
class Plan:
    """What to measure, and for how long."""

    people: int
    rounds: int
    bound: Bound
    operations: Sequence[str]
    peers: Sequence[str]
    connections: Sequence[int] = CONNECTIONS


@dataclass
class Comparison:
    """The results of a plan."""

    people: int
    rounds: int
    seconds: float
    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return asdict(self)


async def compare(folder: Path, plan: Plan, log: Callable[[str], None]) -> Comparison:
    """Measure a plan; subjects that cannot be measured are logged and left out."""
    result = Comparison(plan.people, plan.rounds, plan.bound.seconds)
    async with _subjects(folder, plan, result, log) as subjects:
        supporting = {
            operation: [
                each for each in subjects if await _supports(each, operation, result.left_out)
            ]
            for operation in plan.operations
        }
        for operation in plan.operations:
            for connections in plan.connections:
                for row in await _rounds(supporting[operation], operation, connections, plan):
                    result.rows.append(row)
                    log(line(row))
    return result


@asynccontextmanager
async def _subjects(
    folder: Path, plan: Plan, result: Comparison, log: Callable[[str], None]
) -> AsyncIterator[list[Subject]]:
    async with AsyncExitStack() as open_:
        log(f"starting the service with {plan.people:,} people")
        region = await open_.enter_async_context(service(folder, plan.people))
        subjects: list[Subject] = [
            region.server,
            await open_.enter_async_context(without_hop(region)),
            await open_.enter_async_context(bare_http(region, folder)),
            *await open_.enter_async_context(bare_asyncpg(region)),
            *pgbench(region),
        ]
        for name in plan.peers:
            log(f"starting {name}")
            try:
                subjects.append(await open_.enter_async_context(PEERS[name](region, plan.people)))
            except UnavailableError as missing:
                result.left_out.append(f"{name} is left out: {missing}.")
                log(result.left_out[-1])
        log(HEADER)
        yield subjects


async def _supports(subject: Subject, operation: str, left_out: list[str]) -> bool:
    """Whether a subject supports an operation. Servers are tested with three requests."""
    if operation not in subject.operations:
        return False
    if isinstance(subject, Server):
        sample = await subject.run(operation, 1, Bound(3, 60))
        if sample.wrong:
            response = sample.first_wrong
            left_out.append(f"{subject.name} does not support {operation}: it answered {response}.")
            return False
    return True


async def _rounds(
    subjects: Sequence[Subject], operation: str, connections: int, plan: Plan
) -> list[Row]:
    """Measure the subjects in turns; the first round warms up."""
    measured: dict[str, list[tuple[Sample, float]]] = {subject.name: [] for subject in subjects}
    for round_ in range(plan.rounds + 1):
        seconds = plan.bound.seconds if round_ else plan.bound.seconds / 2
        for subject in subjects:
            before = subject.cpu()
            sample = await subject.run(operation, connections, Bound(plan.bound.requests, seconds))
            cpu = (subject.cpu() - before) / len(sample.latencies) * 1e6
            if round_:
                measured[subject.name].append((sample, cpu))
    return [row(operation, connections, name, rounds) for name, rounds in measured.items()]


def row(
    operation: str, connections: int, subject: str, rounds: Sequence[tuple[Sample, float]]
) -> Row:
    """The row with the medians of the rounds."""

    def median(value: Callable[[Sample], float]) -> float:
        return round(statistics.median(value(sample) for sample, _ in rounds), 3)

    return Row(
        operation,
        connections,
        subject,
        rate=median(lambda sample: sample.rate),
        p50=median(lambda sample: sample.percentile(50)),
        p99=median(lambda sample: sample.percentile(99)),
        cpu=round(statistics.median(cpu for _, cpu in rounds), 1),
        client=median(lambda sample: sample.client_seconds / len(sample.latencies) * 1e6),
        wrong=sum(sample.wrong for sample, _ in rounds),
        requests=sum(len(sample.latencies) for sample, _ in rounds),
        first_wrong=next((sample.first_wrong for sample, _ in rounds if sample.wrong), ""),
    )


HEADER = (
    f"{'operation':<9} {'connections':>11}  {'subject':<20} {'requests/s':>10} {'p50 ms':>8}"
    f" {'p99 ms':>8} {'CPU µs':>8} {'wrong':>6}"
)


def line(row: Row) -> str:
    """A row as text."""
    wrong = f"  {row.first_wrong}" if row.first_wrong else ""
    return (
        f"{row.operation:<9} {row.connections:>11}  {row.subject:<20} {row.rate:>10,.0f}"
        f" {row.p50:>8.2f} {row.p99:>8.2f} {row.cpu:>8,.0f} {row.wrong:>6}{wrong}"
    )
