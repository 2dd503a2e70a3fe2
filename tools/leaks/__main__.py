"""`make leaks`: what the processes of a region hold under ordinary traffic, and how fast it grows.

One request in a hundred has a made-up key. It fails when memory, tasks, open files or
threads of a process clearly grow, when a process was restarted, or when an answer was wrong.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.support.stack import ROOT
from tools.leaks.report import drawing, table, traffic_line, write_csv
from tools.leaks.run import MADE_UP, run

BUILD = ROOT / "build"
WARM_UP = 0.25
"""The part of the time in which caches and pools fill."""
MOST_WARM_UP_SECONDS = 900.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.leaks", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two samples")
    parser.add_argument(
        "--made-up", type=float, default=MADE_UP, help="the share of requests with a made-up key"
    )
    options = parser.parse_args()
    seconds = options.minutes * 60
    with tempfile.TemporaryDirectory(prefix="leaks-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's account passes through
        done = uvloop.run(run(Path(name), seconds, options.interval, options.made_up))
    growth = done.samples.growth(min(seconds * WARM_UP, MOST_WARM_UP_SECONDS))
    write_csv(done.samples, BUILD / "leaks.csv")
    (BUILD / "leaks.svg").write_text(drawing(done.samples))
    print(traffic_line(done.sample))
    print(table(growth))
    leaks = [f"{each.process} {each.what}" for each in growth if each.is_leak]
    restarted = sorted(done.samples.restarted)
    print(f"grows: {', '.join(leaks) or 'nothing'}; ended: {', '.join(restarted) or 'nothing'}")
    print(f"Every sample is in {BUILD / 'leaks.csv'}, drawn in {BUILD / 'leaks.svg'}.")
    return 1 if leaks or restarted or done.sample.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
