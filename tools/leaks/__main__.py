"""`make leaks`: measures the growth of a region's processes under ordinary traffic.

One request in a hundred has an unknown key. Fails if memory, tasks, open files or threads of a
process grow significantly, if a process restarted, or if a response was wrong.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.support.stack import ROOT
from tools.leaks.report import chart_svg, table, traffic_line, write_csv
from tools.leaks.run import UNKNOWN_KEY_SHARE, run

BUILD = ROOT / "build"
WARM_UP = 0.25
"""The fraction of the run during which caches and pools fill."""
MAX_WARM_UP_SECONDS = 900.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.leaks", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two samples")
    parser.add_argument(
        "--unknown-key-share",
        type=float,
        default=UNKNOWN_KEY_SHARE,
        help="share of requests with an unknown key",
    )
    options = parser.parse_args()
    seconds = options.minutes * 60
    with tempfile.TemporaryDirectory(prefix="leaks-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's account must be able to traverse it
        result = uvloop.run(run(Path(name), seconds, options.interval, options.unknown_key_share))
    growth = result.samples.growth(min(seconds * WARM_UP, MAX_WARM_UP_SECONDS))
    write_csv(result.samples, BUILD / "leaks.csv")
    (BUILD / "leaks.svg").write_text(chart_svg(result.samples))
    print(traffic_line(result.sample))
    print(table(growth))
    leaks = [f"{each.process} {each.what}" for each in growth if each.is_leak]
    restarted = sorted(result.samples.restarted)
    print(
        f"growing: {', '.join(leaks) or 'nothing'}; restarted: {', '.join(restarted) or 'nothing'}"
    )
    print(f"All samples: {BUILD / 'leaks.csv'}; chart: {BUILD / 'leaks.svg'}.")
    return 1 if leaks or restarted or result.sample.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
