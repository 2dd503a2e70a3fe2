"""`make chaos`: inject every fault into a region, and print a table.

The region has two replicas of each component.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tools.chaos.faults import FAULTS, Fault
from tools.chaos.run import HEADER, region_under_load


def main() -> int:
    """Exit code 0 if nothing was lost, duplicated or wrong and recovery was fast enough; else 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second")
    parser.add_argument("--fault-seconds", type=float, default=10.0, help="duration of a fault")
    parser.add_argument("--recovery-seconds", type=float, default=12.0, help="time between faults")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="only faults whose names contain one of these"
    )
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if any(part in fault.name for part in options.only)]
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        Path(folder).chmod(0o711)
        good = asyncio.run(
            _inject_all(
                Path(folder),
                chosen,
                options.rate,
                options.fault_seconds,
                options.recovery_seconds,
            )
        )
    return 0 if good else 1


async def _inject_all(
    folder: Path, faults: list[Fault], rate: float, fault_seconds: float, recovery_seconds: float
) -> bool:
    good = True
    print(HEADER, flush=True)
    async with region_under_load(folder, rate) as chaos:
        for fault in faults:
            outcome = await chaos.inject(fault, fault_seconds, recovery_seconds)
            print(outcome.row(), flush=True)
            for violation in outcome.violations:
                print(f"    {violation}", flush=True)
            good = good and not outcome.violations
        audit = await chaos.read_each()
    mismatches = audit.lost + audit.duplicated + audit.wrong
    print(
        f"{audit.checked} people read by id, existing or deleted: {mismatches.total()} mismatches"
    )
    for what, count in mismatches.items():
        print(f"    {what} ({count})")
    return good and not mismatches


if __name__ == "__main__":
    sys.exit(main())
