"""`make audit`: scan the locked dependencies for known vulnerabilities.

Runs pip-audit, which reads the advisories of PyPI. pip-audit reports a package without advisories
as safe even if PyPI could not be reached. This program reports such a package as not audited, and
has a separate exit code for it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

CLEAN: Final = 0
VULNERABLE: Final = 1
UNKNOWN: Final = 3
"""The advisories of a package could not be read. It is not 2, because make exits with 2 if any
command fails."""

Report = Mapping[str, Any]


def summarize(reports: Iterable[Report]) -> tuple[list[str], int]:
    """The lines to print for the reports of pip-audit, and the exit code."""
    packages: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    unaudited: set[str] = set()
    for report in reports:
        for each in report["dependencies"]:
            if "skip_reason" in each:
                unaudited.add(each["name"])
            else:
                packages[each["name"], each["version"]] = each["vulns"]
    lines = [
        f"{name} {version}: {vulnerability['id']}, {_fixed_in(vulnerability['fix_versions'])}"
        for (name, version), vulnerabilities in sorted(packages.items())
        for vulnerability in vulnerabilities
    ]
    if lines:
        lines.append(f"Known vulnerabilities: {len(lines)}; packages scanned: {len(packages)}.")
    elif packages:
        lines.append(f"No known vulnerabilities; packages scanned: {len(packages)}.")
    if unaudited:
        lines.append(
            f"Packages NOT audited: {len(unaudited)}. PyPI's advisories for them could not be read "
            "from here."
        )
    if any(packages.values()):
        return lines, VULNERABLE
    return lines, UNKNOWN if unaudited or not packages else CLEAN


def _fixed_in(versions: Sequence[str]) -> str:
    return f"fixed in {', '.join(versions)}" if versions else "no fixed version"


def run_pip_audit(tool: Path, locks: Sequence[Path], seconds: float) -> Iterable[Report]:
    """The pip-audit report of each lock file. Raises ValueError if a scan fails or times out."""
    end = time.monotonic() + seconds
    for lock in locks:
        command = [str(tool), "--requirement", str(lock), "--require-hashes", "--disable-pip"]
        command += ["--vulnerability-service", "pypi", "--format", "json"]
        command += ["--progress-spinner", "off"]
        seconds_left = max(0.0, end - time.monotonic())
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=seconds_left
            )
            yield json.loads(result.stdout)
        except subprocess.TimeoutExpired:
            raise ValueError(f"PyPI did not answer within {seconds:g} seconds.") from None
        except ValueError:
            message = (result.stderr.strip().splitlines() or ["no error message"])[-1]
            raise ValueError(f"pip-audit could not scan {lock.name}: {message}") from None


def main() -> int:
    """Audit the lock files given as arguments; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.audit", description=__doc__)
    parser.add_argument("tool", type=Path, help="path of pip-audit")
    parser.add_argument("locks", type=Path, nargs="+", help="requirements files with hashes")
    parser.add_argument("--seconds", type=float, default=50, help="time limit for all files")
    options = parser.parse_args()
    try:
        lines, code = summarize(list(run_pip_audit(options.tool, options.locks, options.seconds)))
    except ValueError as error:
        lines, code = [str(error), "Nothing was audited."], UNKNOWN
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
