"""Runs a program with a clock that is ahead of or behind the machine's.

`python -m tools.chaos.shifted_clock FILE PROGRAM …` runs `python -m PROGRAM …`. FILE has the
seconds by which the clock is ahead; it is read again whenever the clock is.
"""

import runpy
import sys
from datetime import datetime, timedelta
from pathlib import Path

import chassis.clock


def main() -> None:
    """Replace the system clock before any other module imports it, and run the program."""
    _, file, program, *arguments = sys.argv
    system_clock = chassis.clock.system_clock

    def shifted_clock() -> datetime:
        return system_clock() + timedelta(seconds=float(Path(file).read_text()))

    chassis.clock.system_clock = shifted_clock
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__")


if __name__ == "__main__":
    main()
