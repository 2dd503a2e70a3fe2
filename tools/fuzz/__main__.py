"""`make fuzz`: the service by its description, the parsers by coverage, as long as one likes."""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.stack import ROOT, running_stack
from tools.fuzz.corpus import corpus
from tools.fuzz.described import drive
from tools.fuzz.parsers import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("python", help="the Python of an environment that has atheris")
    parser.add_argument("--minutes", type=float, default=10.0, help="in all")
    options = parser.parse_args()
    half = options.minutes * 60 / 2
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        folder = Path(place)
        folder.chmod(0o711)
        good = [_service(folder, max(int(half), 20))]
        for name in TARGETS:
            good.append(_parser(options.python, name, folder, max(int(half / len(TARGETS)), 2)))
    return 0 if all(good) else 1


def _service(folder: Path, seconds: int) -> bool:
    """schemathesis, with another seed each time; the seed is told when it found something."""
    seed = random.SystemRandom().randrange(2**31)
    with running_stack(folder) as stack:
        run = drive(stack, folder / "schemathesis", seed, seconds=seconds)
        fault = '"event":"internal error"' in stack.log("gateway")
    good = run.returncode == 0 and not fault
    _tell("the service", seconds, good, f"seed {seed}")
    if not good:
        print(run.stdout)
    return good


def _parser(python: str, name: str, folder: Path, seconds: int) -> bool:
    """atheris on one parser; an input that broke it is told in full."""
    place = folder / name.replace(" ", "-")
    (place / "corpus").mkdir(parents=True)
    for number, data in enumerate(corpus(name)):
        (place / "corpus" / str(number)).write_bytes(data)
    run = subprocess.run(
        [python, "-m", "tools.fuzz.guided", name, str(place), str(seconds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    runs = [line for line in run.stdout.splitlines() if line.startswith("Done ")]
    good = run.returncode == 0 and bool(runs)
    _tell(name, seconds, good, runs[-1] if runs else "")
    if not good:
        print(run.stdout[-6000:])
    for found in sorted(place.glob("*-*")):
        print(f"    {found.name}: {found.read_bytes()!r}")
    return good


def _tell(name: str, seconds: int, good: bool, more: str) -> None:
    print(f"{name:<14} {seconds:>5} s  {'nothing found' if good else 'FOUND'}  {more}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
