"""`make bench-against`: the working tree against its own commit, in a few very short rounds."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stack import ROOT
from tools.benchmarks.against.workload import OPERATIONS

SMALL = ("--users", "40", "--connections", "4", "--round-seconds", "0.05", "--rounds", "1")
ROW = re.compile(r"(\S+) +([\d.]+) +([\d.]+) +([\d.]+) +0\.000 to inf +1( +undecided)?")


def compared(ref: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run one session; the time limit is reached after it."""
    bounds = ("--minutes", "0", "--analyze-seconds", "0", "--folder", str(folder))
    return subprocess.run(
        (sys.executable, "-m", "tools.benchmarks.against", ref, *SMALL, *bounds),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(300)  # four starts of a region, two at a time
def test_one_session_prints_operations_and_is_undecided(tmp_path: Path):
    done = compared("HEAD", tmp_path)

    assert (done.returncode, done.stderr) == (2, ""), done.stdout
    judged, reported = done.stdout.split("PostgreSQL (not compared with the limit)")
    assert [line[1] for line in ROW.finditer(judged)] == list(OPERATIONS)
    assert [line[1] for line in ROW.finditer(reported)] == list(OPERATIONS)
    assert all(float(cost) > 0 for line in ROW.finditer(judged) for cost in line.group(2, 3, 4))
    assert f"Not measured to ± 1.5%: {', '.join(OPERATIONS)}." in reported
    stored = json.loads((tmp_path / "rounds.json").read_text())
    assert [each["operation"] for each in stored["rounds"]] == list(OPERATIONS)
    assert set(stored["trees"]) == {"base", "head"}


def test_unknown_commit_fails_before_regions_start(tmp_path: Path):
    done = compared("no-such-commit", tmp_path)

    assert (done.returncode, done.stdout) == (3, "")
    assert "git" in done.stderr
