"""`python -m tests.conformance`: a table of what the field's suites say of this service."""

import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from tests.conformance.suites import SUITES, Check
from tests.support.stack import running_stack

WIDTH = 78


def main() -> int:
    """Start a region of its own, let every suite judge it, print the table."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        Path(directory).chmod(0o711)  # PostgreSQL's own account passes through
        with running_stack(Path(directory)) as stack:
            verdicts = {name: suite(stack.url, stack.token) for name, suite in SUITES.items()}
    for name, checks in verdicts.items():
        print_table(name, checks)
    return 0 if all(is_good(check) for checks in verdicts.values() for check in checks) else 1


def is_good(check: Check) -> bool:
    """Whether a check gives no reason for complaint."""
    return check.outcome in ("passed", "skipped")


def print_table(name: str, checks: list[Check]) -> None:
    """One line for each kind of check, and one for each failure."""
    print(f"\n{name} {version(name)}\n{'─' * WIDTH}")
    for kind in dict.fromkeys(check.name for check in checks):
        outcomes = Counter(check.outcome for check in checks if check.name == kind)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        print(f"  {kind:<56} {counts}")
    for check in checks:
        if not is_good(check):
            print(f"  ! {check.name}: {check.outcome}: {check.detail}")
    passed = sum(check.outcome == "passed" for check in checks)
    print(f"{'─' * WIDTH}\n  {passed} of {len(checks)} checks passed")


if __name__ == "__main__":
    sys.exit(main())
