"""`.ci/audit` with pip-audit itself: a vulnerability is an error, missing advisories a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.audit import UNKNOWN
from deploy.local.ports import free_port
from tests.support.audit.advisories import Advisories, advisory_server, environment

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / ".venv-audit" / "bin" / "pip-audit"
LOCK = "\n".join(f"{name}==1.0 --hash=sha256:{'0' * 64}" for name in ("aiohttp", "yarl"))
WARNING = "WARNING: the dependencies were NOT audited."
ADVISORY = {
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "fixed_in": ["1.1"],
    "details": "It lets anybody in.",
}


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file of two packages."""
    if not TOOL.exists():
        pytest.skip("pip-audit is not installed: run `make audit-tools`")
    path = tmp_path / "lock.txt"
    path.write_text(LOCK)
    return path


def audit(lock: Path, environment: dict[str, str]) -> tuple[int, list[str]]:
    """The exit code and output lines of `.ci/audit`."""
    command = [str(ROOT / ".ci" / "audit"), str(lock)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    return result.returncode, result.stdout.splitlines()


def test_audit_with_vulnerability_fails(lock: Path, tmp_path: Path):
    with advisory_server(Advisories({"aiohttp": [ADVISORY], "yarl": []}), tmp_path) as variables:
        code, lines = audit(lock, variables)

    assert code == 1
    assert lines == [
        "aiohttp 1.0: PYSEC-2026-1, fixed in 1.1",
        "Known vulnerabilities: 1; packages scanned: 2.",
    ]


def test_audit_without_vulnerabilities_passes(lock: Path, tmp_path: Path):
    with advisory_server(Advisories({"aiohttp": [], "yarl": []}), tmp_path) as variables:
        assert audit(lock, variables) == (0, ["No known vulnerabilities; packages scanned: 2."])


def test_audit_warns_when_no_package_is_known_to_advisories(lock: Path, tmp_path: Path):
    with advisory_server(Advisories({}), tmp_path) as variables:
        code, lines = audit(lock, variables)

    assert code == 0
    assert lines[-1].startswith(WARNING)


def test_audit_with_vulnerability_and_unknown_package_fails(lock: Path, tmp_path: Path):
    with advisory_server(Advisories({"aiohttp": [ADVISORY]}), tmp_path) as variables:
        code, lines = audit(lock, variables)

    assert code == 1
    assert "NOT audited" in lines[-1]


def test_audit_warns_when_advisories_are_unreachable(lock: Path, tmp_path: Path):
    code, lines = audit(lock, environment(free_port(), None, tmp_path))

    assert code == 0
    assert lines[0].startswith("pip-audit could not scan lock.txt: ")
    assert lines[-1].startswith(WARNING)


def test_audit_stops_waiting_for_advisories_at_its_time_limit(lock: Path, tmp_path: Path):
    with advisory_server(Advisories({}, silent=True), tmp_path) as variables:
        command = [sys.executable, "-m", "deploy.audit", str(TOOL), str(lock), "--seconds", "3"]
        result = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )

    assert result.returncode == UNKNOWN
    assert result.stdout.splitlines() == [
        "PyPI did not answer within 3 seconds.",
        "Nothing was audited.",
    ]
