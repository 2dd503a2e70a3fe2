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


def run_comparison(ref: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run one session: the time limit of 0 minutes is over after the first."""
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
    result = run_comparison("HEAD", tmp_path)

    assert (result.returncode, result.stderr) == (2, ""), result.stdout
    compared_part, reported_part = result.stdout.split("PostgreSQL (not compared with the limit)")
    assert [line[1] for line in ROW.finditer(compared_part)] == list(OPERATIONS)
    assert [line[1] for line in ROW.finditer(reported_part)] == list(OPERATIONS)
    assert all(
        float(cost) > 0 for line in ROW.finditer(compared_part) for cost in line.group(2, 3, 4)
    )
    assert f"Not measured to ± 1.5%: {', '.join(OPERATIONS)}." in reported_part
    stored = json.loads((tmp_path / "rounds.json").read_text())
    assert [entry["operation"] for entry in stored["rounds"]] == list(OPERATIONS)
    assert set(stored["trees"]) == {"base", "head"}


def test_unknown_commit_fails_before_regions_start(tmp_path: Path):
    result = run_comparison("no-such-commit", tmp_path)

    assert (result.returncode, result.stdout) == (3, "")
    assert "git" in result.stderr
