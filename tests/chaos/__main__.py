"""`make chaos`: the whole list of faults against a region of two replicas each, and a table."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.run import HEADER, break_things


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second")
    parser.add_argument("--broken", type=float, default=10.0, help="seconds that a fault lasts")
    parser.add_argument("--calm", type=float, default=25.0, help="seconds after each")
    options = parser.parse_args()
    good = True
    print(HEADER)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        Path(folder).chmod(0o711)
        outcomes = asyncio.run(
            break_things(Path(folder), rate=options.rate, broken=options.broken, calm=options.calm)
        )
    for outcome in outcomes:
        print(outcome.row())
        for what in sorted(set(outcome.tally.wrong)):
            print(f"    wrong: {what} ({outcome.tally.wrong.count(what)})")
        good = good and (outcome.good or not outcome.done)
    assert len(outcomes) == len(FAULTS)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
