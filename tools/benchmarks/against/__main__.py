"""`make bench-against REF=…`: does a request cost more CPU time here than at another commit?

The exit code is 1 if the 95 % interval of an operation's cost ratio is above the limit, 2 if an
interval is too wide to decide, 3 if nothing could be measured, else 0.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import uvloop

from deploy.local.processes.lock import AlreadyRunningError, hold_lock
from tests.support.stack import ROOT
from tools.benchmarks.against import checkout, report
from tools.benchmarks.against.cpu import ProcessEndedError
from tools.benchmarks.against.load import WrongResponseError
from tools.benchmarks.against.region import RegionError
from tools.benchmarks.against.rounds import BASE, HEAD, Round
from tools.benchmarks.against.sessions import Plan, Sessions
from tools.benchmarks.against.verdict import HALF_WIDTH, LIMIT
from tools.benchmarks.against.workload import OPERATIONS

FOLDER = ROOT / "build" / "bench-against"
NOT_MEASURED = 3


def main() -> int:
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    try:
        with (
            hold_lock(options.folder / "lock"),
            tempfile.TemporaryDirectory(prefix="bench-against-") as data,
        ):
            Path(data).chmod(0o711)  # PostgreSQL's account must be able to traverse it
            return uvloop.run(_compare(options, Path(data)))
    except AlreadyRunningError as error:
        return _fail(f"Another comparison uses {options.folder} ({error}).")
    except checkout.CheckoutError as error:
        return _fail(str(error))
    except (ProcessEndedError, RegionError, WrongResponseError) as error:
        return _fail(f"Nothing can be compared: {error}")
    except (asyncio.CancelledError, KeyboardInterrupt):
        return _fail("Stopped before the end.")


async def _compare(options: argparse.Namespace, data: Path) -> int:
    # Without this handler SIGTERM would leave the data of the regions behind.
    stop = cast("asyncio.Task[int]", asyncio.current_task()).cancel
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    trees = {
        BASE: checkout.commit(options.ref, options.folder / BASE),
        HEAD: checkout.working_tree(options.folder / HEAD),
    }
    names = {side: tree.name for side, tree in trees.items()}
    _print(f"before: {names[BASE]}; after: {names[HEAD]}")
    plan = Plan(
        options.users,
        options.connections,
        options.rounds,
        options.round_seconds,
        options.analyze_seconds,
    )
    rounds = await _rounds(
        Sessions(trees, data, plan),
        options,
        lambda rounds: report.write(options.folder / "rounds.json", names, rounds),
    )
    for title, part in report.PARTS.items():
        lines = report.rows(rounds, options.operations, part)
        _print("\n" + report.table(title, lines, options.limit, options.half_width))
    lines = report.rows(rounds, options.operations, report.PARTS[report.SERVICES])
    code, sentences = report.conclusion(lines, options.limit, options.half_width)
    _print("\n" + "\n".join(sentences))
    return code


async def _rounds(
    sessions: Sessions, options: argparse.Namespace, save: Callable[[Sequence[Round]], object]
) -> list[Round]:
    """Run sessions until every interval is narrow enough or the time is over; at least one.

    After each session all rounds so far are written to the result file.
    """
    began = time.monotonic()
    await sessions.prepare(options.operations)
    rounds: list[Round] = []
    imprecise: Sequence[str] = options.operations
    longest = 0.0
    while imprecise:
        started = time.monotonic()
        rounds += await sessions.run(imprecise)
        save(rounds)
        longest = max(longest, time.monotonic() - started)
        minutes = (time.monotonic() - began) / 60
        lines = report.rows(rounds, options.operations, report.PARTS[report.SERVICES])
        _print(report.progress(minutes, lines))
        imprecise = [row.operation for row in lines if row.estimate.half_width > options.half_width]
        if minutes + longest / 60 > options.minutes:
            break
    return rounds


def _print(text: str) -> None:
    print(text, flush=True)


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return NOT_MEASURED


def _options() -> argparse.Namespace:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmarks.against", description="Compare the CPU cost of requests."
    )
    parser.add_argument("ref", help="the commit to compare the working tree with")
    parser.add_argument(
        "--operations", type=_operations, default=OPERATIONS, help="separated by commas"
    )
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="time limit, preparation included"
    )
    parser.add_argument(
        "--half-width", type=float, default=HALF_WIDTH, help="half width of an interval to reach"
    )
    parser.add_argument("--limit", type=float, default=LIMIT, help="largest accepted cost ratio")
    parser.add_argument("--users", type=int, default=plan.users)
    parser.add_argument("--connections", type=int, default=plan.connections)
    parser.add_argument(
        "--rounds", type=int, default=plan.rounds, help="rounds per operation in a session"
    )
    parser.add_argument("--round-seconds", type=float, default=plan.round_seconds)
    parser.add_argument("--analyze-seconds", type=float, default=plan.analyze_seconds)
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="folder for the trees and the result"
    )
    return parser.parse_args()


def _operations(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in OPERATIONS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"choose from {', '.join(OPERATIONS)}")
    return [operation for operation in OPERATIONS if operation in names]


if __name__ == "__main__":
    sys.exit(main())
