"""`make fuzz`: fuzz the service by its OpenAPI document and its parsers by coverage."""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.stack import ROOT, running_stack
from tools.fuzz.corpus import corpus
from tools.fuzz.openapi import drive
from tools.fuzz.parsers import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("python", help="a Python with atheris installed")
    parser.add_argument("--minutes", type=float, default=10.0, help="total duration")
    options = parser.parse_args()
    half = options.minutes * 60 / 2
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        good = [_service(folder, max(int(half), 20))]
        for name in TARGETS:
            good.append(_parser(options.python, name, folder, max(int(half / len(TARGETS)), 2)))
    return 0 if all(good) else 1


def _service(folder: Path, seconds: int) -> bool:
    """Run schemathesis with a random seed, which is printed."""
    seed = random.SystemRandom().randrange(2**31)
    with running_stack(folder) as stack:
        run = drive(stack, folder / "schemathesis", seed, seconds=seconds)
        fault = '"event":"internal error"' in stack.log("gateway")
    good = run.returncode == 0 and not fault
    _print_result("the service", seconds, good, f"seed {seed}")
    if not good:
        print(run.stdout)
    return good


def _parser(python: str, name: str, folder: Path, seconds: int) -> bool:
    """Run atheris on one parser and print inputs that broke it."""
    target_folder = folder / name.replace(" ", "-")
    (target_folder / "corpus").mkdir(parents=True)
    for number, data in enumerate(corpus(name)):
        (target_folder / "corpus" / str(number)).write_bytes(data)
    run = subprocess.run(
        [python, "-m", "tools.fuzz.guided", name, str(target_folder), str(seconds)],
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
    _print_result(name, seconds, good, runs[-1] if runs else "")
    if not good:
        print(run.stdout[-6000:])
    for found in sorted(target_folder.glob("*-*")):
        print(f"    {found.name}: {found.read_bytes()!r}")
    return good


def _print_result(name: str, seconds: int, good: bool, more: str) -> None:
    print(f"{name:<14} {seconds:>5} s  {'nothing found' if good else 'FOUND'}  {more}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
