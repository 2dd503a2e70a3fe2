"""`make bench`: measure the service, its lower bounds and its peers, and judge the goals."""

import argparse
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from tools.benchmarks import comparison, memory, scale
from tools.benchmarks.client import Bound
from tools.benchmarks.comparison import Row
from tools.benchmarks.organizations import measure as organizations
from tools.benchmarks.organizations.rounds import Plan as OrganizationsPlan
from tools.benchmarks.organizations.sizes import Sizes
from tools.benchmarks.peers.servers import PEERS
from tools.benchmarks.report import document, figures
from tools.benchmarks.report.goals import goals
from tools.benchmarks.work import OPERATIONS

PARTS = ("1000", "100000", "scale", "organizations", "memory")


async def main(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure the chosen parts, each in a region of its own; figures of other parts are kept."""
    results = figures.read(options.report)
    for part in options.parts:
        part_folder = folder / part
        part_folder.mkdir()
        stamp = figures.stamp()
        if part == "scale":
            # Many short rounds, so that changing load on this machine affects both sizes alike.
            rounds = (4 * options.rounds, options.seconds / 2)
            plan = scale.Plan(options.scale_people, options.group, *rounds)
            results[part] = {**await scale.measure(part_folder, plan, log), **stamp}
        elif part == "organizations":
            sizes = Sizes(options.organizations, options.large_people, options.changes)
            turns = OrganizationsPlan(
                options.rounds, options.seconds, hold_seconds=options.hold_seconds
            )
            results[part] = {**await organizations.measure(part_folder, sizes, turns, log), **stamp}
        elif part == "memory":
            seconds = options.memory_seconds
            results[part] = {**await memory.measure(part_folder, seconds, log), **stamp}
        else:
            result = await comparison.compare(part_folder, _plan(options, int(part)), log)
            results.setdefault("comparisons", {})[part] = {**result.as_json(), **stamp}
            _ratios(result.rows)
            for each in result.left_out:
                log(each)
        figures.write(results, options.report)
    return results


def _plan(options: argparse.Namespace, people: int) -> comparison.Plan:
    bound = Bound(options.requests, options.seconds)
    return comparison.Plan(people, options.rounds, bound, options.operations, options.peers)


def log(text: str) -> None:
    print(text, flush=True)


def _ratios(rows: Sequence[Row]) -> None:
    """Print the ratio of the service to each other subject."""
    by_subject = {(row.operation, row.connections, row.subject): row for row in rows}
    log(f"\n{'the service and':<37} {'requests/s':>10} {'p50':>8} {'CPU':>8}")
    for (operation, connections, subject), row in by_subject.items():
        service = by_subject.get((operation, connections, "service"))
        if service is None or subject == "service" or not (row.rate and row.p50 and row.cpu):
            continue
        log(
            f"{operation:<9} {connections:>4}  {subject:<21} {service.rate / row.rate:>10.2f}"
            f" {service.p50 / row.p50:>8.2f} {service.cpu / row.cpu:>8.2f}"
        )


def _goals(results: Mapping[str, Any]) -> None:
    log("")
    for goal in goals(results):
        verdict = {True: "met", False: "NOT MET", None: "-"}[goal.met]
        log(f"{verdict:<8} {goal.what}: {goal.wanted}; {goal.measured}")


def _wrong(results: Mapping[str, Any]) -> int:
    """The number of wrong responses of the service."""
    rows = [row for part in results.get("comparisons", {}).values() for row in part["rows"]]
    wrong = sum(row["wrong"] for row in rows if row["subject"] == "service")
    wrong += sum(growth["wrong"] for growth in results.get("scale", {}).get("growths", []))
    wrong += results.get("organizations", {}).get("wrong", 0)
    return wrong + results.get("memory", {}).get("wrong", 0)


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the options; by default nothing below docs/ is written."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="measure all parts, in longer rounds")
    parser.add_argument("--parts", nargs="+", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="time limit of a round")
    parser.add_argument("--requests", type=int, default=20_000, help="request limit of a round")
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=OPERATIONS)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--scale-people", type=int, default=1_000_000)
    parser.add_argument("--group", type=int, default=100_000)
    parser.add_argument("--organizations", type=int, default=Sizes().organizations)
    parser.add_argument("--large-people", type=int, default=Sizes().large_people)
    parser.add_argument("--changes", type=int, default=Sizes().changes)
    parser.add_argument("--hold-seconds", type=float, default=0.0)
    parser.add_argument("--memory-seconds", type=float, default=600)
    parser.add_argument("--report", type=Path, default=figures.BUILD, help="folder for the report")
    parser.add_argument(
        "--update-docs",
        dest="report",
        action="store_const",
        const=figures.DOCUMENTS,
        help="replace the published report",
    )
    options = parser.parse_args(arguments)
    options.parts = options.parts or (PARTS if options.full else PARTS[:1])
    options.seconds = options.seconds or (1.0 if options.full else 0.7)
    return options


if __name__ == "__main__":
    options = parse_options()
    # As with Ctrl-C, the processes end and the folder with the databases is deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's account must be able to traverse it
        results = uvloop.run(main(options, folder))
    _goals(results)
    log(f"\nThe report is {document.write(results, options.report)}.")
    raise SystemExit(1 if _wrong(results) else 0)
