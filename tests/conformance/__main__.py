"""`python -m tests.conformance` runs the public SCIM compliance suites against a region."""

import sys
import tempfile
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.conformance.suites import SUITES, Check
from tests.support.stack import running_stack

WIDTH = 78


def main() -> int:
    """Start a region, run every suite against it, and print the results."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        Path(directory).chmod(0o711)  # PostgreSQL runs as another account
        with running_stack(Path(directory)) as stack:
            results = {name: suite(stack.url, stack.token) for name, suite in SUITES.items()}
    for name, checks in results.items():
        print_table(name, checks)
    return 0 if all(is_acceptable(check) for checks in results.values() for check in checks) else 1


def is_acceptable(check: Check) -> bool:
    """Whether a check passed or was skipped."""
    return check.outcome in ("passed", "skipped")


def title(name: str) -> str:
    """The name of a suite, with its version if it is a package."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} (recorded requests)"


def print_table(name: str, checks: list[Check]) -> None:
    """Print one line for each kind of check, and the details of each failure."""
    print(f"\n{title(name)}\n{'─' * WIDTH}")
    for kind in dict.fromkeys(check.name for check in checks):
        outcomes = Counter(check.outcome for check in checks if check.name == kind)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        print(f"  {kind:<56} {counts}")
    for check in checks:
        if not is_acceptable(check):
            print(f"  ! {check.name}: {check.outcome}: {check.detail}")
    passed = sum(check.outcome == "passed" for check in checks)
    print(f"{'─' * WIDTH}\n  {passed} of {len(checks)} checks passed")


if __name__ == "__main__":
    sys.exit(main())
