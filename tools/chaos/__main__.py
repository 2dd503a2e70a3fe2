"""`make chaos`: the whole list of faults against a region of two replicas each, and a table."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tools.chaos.faults import FAULTS, Fault
from tools.chaos.run import HEADER, region_under_load


def main() -> int:
    """0 when nothing was lost, done twice, answered wrongly or slow to come back; else 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second")
    parser.add_argument("--broken", type=float, default=10.0, help="seconds that a fault lasts")
    parser.add_argument("--calm", type=float, default=25.0, help="seconds after each")
    parser.add_argument("--only", default="", help="faults with this in their names")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if options.only in fault.name]
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        Path(folder).chmod(0o711)
        good = asyncio.run(
            _break_all(Path(folder), chosen, options.rate, options.broken, options.calm)
        )
    return 0 if good else 1


async def _break_all(
    folder: Path, faults: list[Fault], rate: float, broken: float, calm: float
) -> bool:
    good = True
    print(HEADER, flush=True)
    async with region_under_load(folder, rate) as chaos:
        for fault in faults:
            outcome = await chaos.suffer(fault, broken, calm)
            print(outcome.row(), flush=True)
            for complaint in outcome.complaints:
                print(f"    {complaint}", flush=True)
            good = good and not outcome.complaints
        found = await chaos.read_each()
    unlike = found.lost + found.wrong
    print(
        f"{found.asked} people read by id, there or deleted: {unlike.total()} not as acknowledged"
    )
    for what, count in unlike.items():
        print(f"    {what} ({count})")
    return good and not unlike


if __name__ == "__main__":
    sys.exit(main())
