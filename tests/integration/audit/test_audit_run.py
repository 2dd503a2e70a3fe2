"""`.ci/audit` with pip-audit itself: what is known fails, what cannot be learned is said aloud."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.audit import UNKNOWN
from deploy.local.ports import free_port
from tests.support.audit.advisories import Advisories, environment, reached

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / ".venv-audit" / "bin" / "pip-audit"
LOCK = "\n".join(f"{name}==1.0 --hash=sha256:{'0' * 64}" for name in ("aiohttp", "yarl"))
WARNING = "WARNING: the dependencies were NOT audited."
FOUND = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "fixed_in": ["1.1"],
    "details": "It lets anybody in.",
}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Two packages, locked."""
    if not TOOL.exists():
        pytest.skip("pip-audit is not there: `make audit-tools` installs it")
    path = tmp_path / "lock.txt"
    path.write_text(LOCK)
    return path


def audit(lock: Path, environment: dict[str, str]) -> tuple[int, list[str]]:
    """The exit code of `.ci/audit`, and what it says."""
    command = [str(ROOT / ".ci" / "audit"), str(lock)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    return result.returncode, result.stdout.splitlines()


def test_a_vulnerability_fails(lock: Path, tmp_path: Path):
    with reached(Advisories({"aiohttp": [FOUND], "yarl": []}), tmp_path) as variables:
        code, lines = audit(lock, variables)

    assert code == 1
    assert lines == [
        "aiohttp 1.0: PYSEC-2026-1, mended in 1.1",
        "1 known vulnerabilities in 2 packages.",
    ]


def test_packages_that_nothing_is_known_against_are_fine(lock: Path, tmp_path: Path):
    with reached(Advisories({"aiohttp": [], "yarl": []}), tmp_path) as variables:
        assert audit(lock, variables) == (0, ["Nothing is known against 2 packages."])


def test_advisories_that_know_no_package_are_said_to_be_out_of_reach(lock: Path, tmp_path: Path):
    with reached(Advisories({}), tmp_path) as variables:
        code, lines = audit(lock, variables)

    assert code == 0
    assert lines[-1].startswith(WARNING)


def test_a_vulnerability_fails_also_where_of_another_package_nothing_is_learned(
    lock: Path, tmp_path: Path
):
    with reached(Advisories({"aiohttp": [FOUND]}), tmp_path) as variables:
        code, lines = audit(lock, variables)

    assert code == 1
    assert "NOT audited" in lines[-1]


def test_where_nobody_listens_it_is_said_and_the_change_goes_on(lock: Path, tmp_path: Path):
    code, lines = audit(lock, environment(free_port(), None, tmp_path))

    assert code == 0
    assert lines[0].startswith("pip-audit could not ask about lock.txt: ")
    assert lines[-1].startswith(WARNING)


def test_advisories_that_do_not_answer_are_not_waited_for(lock: Path, tmp_path: Path):
    with reached(Advisories({}, silent=True), tmp_path) as variables:
        command = [sys.executable, "-m", "deploy.audit", str(TOOL), str(lock), "--seconds", "3"]
        result = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )

    assert result.returncode == UNKNOWN
    assert result.stdout.splitlines() == [
        "PyPI did not answer within 3 seconds.",
        "Nothing was audited.",
    ]
