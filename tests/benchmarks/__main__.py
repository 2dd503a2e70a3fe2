"""`make bench`: the service beside the same code without the hop, in alternating rounds."""

import argparse
import json
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import uvloop

from tests.benchmarks.client import Sample, drive
from tests.benchmarks.processes import resident_bytes
from tests.benchmarks.subjects import Subject, service

OPERATIONS = ("get", "filter", "create", "patch", "member", "mix")
HEADER = (
    f"{'operation':<10} {'connections':>11} {'subject':<16} {'requests/s':>10} {'p50 ms':>8}"
    f" {'p99 ms':>8} {'CPU µs':>8} {'wrong':>6}"
)


async def main(options: argparse.Namespace) -> list[dict[str, object]]:
    measured: dict[tuple[str, int, str], list[tuple[Sample, float]]] = defaultdict(list)
    async with service(options.folder, options.people) as (whole, hopless, _):
        for _ in range(options.rounds + 1):
            for operation in options.operations:
                for connections in (1, 32):
                    for subject in (whole, hopless):
                        sample, cpu = await _run(subject, operation, connections, options)
                        measured[operation, connections, subject.name].append((sample, cpu))
        memory = {pid: resident_bytes(pid) / 2**20 for pid in whole.pids[:3]}
    print(HEADER)
    rows = [
        _row(*key, samples[1:])  # the first round warms up
        for key, samples in measured.items()
    ]
    print("\nmemory of gateway, usersvc, keysvc:", *(f"{each:.0f} MiB" for each in memory.values()))
    _ratios(rows)
    return rows


async def _run(
    subject: Subject, operation: str, connections: int, options: argparse.Namespace
) -> tuple[Sample, float]:
    count = options.requests if connections > 1 else options.requests // 4
    before = subject.cpu()
    sample = await drive(subject.address, connections, subject.work.operation(operation, count))
    return sample, (subject.cpu() - before) / count * 1e6


def _row(
    operation: str, connections: int, subject: str, rounds: list[tuple[Sample, float]]
) -> dict[str, object]:
    def median(values: list[float]) -> float:
        return round(statistics.median(values), 3)

    row: dict[str, object] = {
        "operation": operation,
        "connections": connections,
        "subject": subject,
        "rate": median([sample.rate for sample, _ in rounds]),
        "p50": median([sample.percentile(50) for sample, _ in rounds]),
        "p99": median([sample.percentile(99) for sample, _ in rounds]),
        "cpu": median([cpu for _, cpu in rounds]),
        "wrong": sum(sample.wrong for sample, _ in rounds),
    }
    print(
        f"{operation:<10} {connections:>11} {subject:<16} {row['rate']:>10,.0f} {row['p50']:>8.2f}"
        f" {row['p99']:>8.2f} {row['cpu']:>8.0f} {row['wrong']:>6}"
    )
    return row


def _ratios(rows: list[dict[str, object]]) -> None:
    found = {(row["operation"], row["connections"], row["subject"]): row for row in rows}
    for (operation, connections, subject), row in found.items():
        if subject == "service":
            other = found[operation, connections, "without the hop"]
            print(
                f"{operation:<10} {connections:>3}: {row['rate'] / other['rate']:.2f} of the rate "
                f"without the hop, {row['p50'] / other['p50']:.2f} times its p50"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--people", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=OPERATIONS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        given.folder = Path(name)
        given.folder.chmod(0o711)  # PostgreSQL's account passes through
        result = uvloop.run(main(given))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
