"""`make audit`: whether anything is known against the packages that we lock.

Asks pip-audit, which asks PyPI. It takes a package that PyPI will not tell about for one without
vulnerabilities; here that is no answer, and has an exit code of its own.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

FINE: Final = 0
VULNERABLE: Final = 1
UNKNOWN: Final = 3
"""Something could not be asked about. 2 is what make makes of any failure."""

Report = Mapping[str, Any]


def judge(reports: Iterable[Report]) -> tuple[list[str], int]:
    """What to say of the reports of pip-audit, and the exit code."""
    packages: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    unasked: set[str] = set()
    for report in reports:
        for each in report["dependencies"]:
            if "skip_reason" in each:
                unasked.add(each["name"])
            else:
                packages[each["name"], each["version"]] = each["vulns"]
    lines = [
        f"{name} {version}: {found['id']}, mended in {_or_nothing(found['fix_versions'])}"
        for (name, version), vulnerabilities in sorted(packages.items())
        for found in vulnerabilities
    ]
    if lines:
        lines.append(f"{len(lines)} known vulnerabilities in {len(packages)} packages.")
    elif packages:
        lines.append(f"Nothing is known against {len(packages)} packages.")
    if unasked:
        lines.append(
            f"Of {len(unasked)} packages nothing could be learned: PyPI's advisories are out of "
            "reach from here. They are NOT audited."
        )
    if any(packages.values()):
        return lines, VULNERABLE
    return lines, UNKNOWN if unasked or not packages else FINE


def _or_nothing(versions: Sequence[str]) -> str:
    return ", ".join(versions) or "nothing"


def ask(tool: Path, locks: Sequence[Path], seconds: float) -> Iterable[Report]:
    """What pip-audit reports of each lock; a ValueError says that it reported nothing in time."""
    end = time.monotonic() + seconds
    for lock in locks:
        command = [str(tool), "--requirement", str(lock), "--require-hashes", "--disable-pip"]
        command += ["--vulnerability-service", "pypi", "--format", "json"]
        command += ["--progress-spinner", "off"]
        left = max(0.0, end - time.monotonic())
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=left
            )
            yield json.loads(result.stdout)
        except subprocess.TimeoutExpired:
            raise ValueError(f"PyPI did not answer within {seconds:g} seconds.") from None
        except ValueError:
            last = (result.stderr.strip().splitlines() or ["nothing"])[-1]
            raise ValueError(f"pip-audit could not ask about {lock.name}: {last}") from None


def main() -> int:
    """Audit the locks that are named."""
    parser = argparse.ArgumentParser(prog="python -m deploy.audit", description=__doc__)
    parser.add_argument("tool", type=Path, help="pip-audit")
    parser.add_argument("locks", type=Path, nargs="+", help="requirements with hashes")
    parser.add_argument("--seconds", type=float, default=50, help="how long it may take, in all")
    options = parser.parse_args()
    try:
        lines, code = judge(list(ask(options.tool, options.locks, options.seconds)))
    except ValueError as error:
        lines, code = [str(error), "Nothing was audited."], UNKNOWN
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
