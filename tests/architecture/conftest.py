"""Fixtures of the architecture tests."""

import shutil

# Without git `make lint` prints that it does not compare the contracts.
collect_ignore = [] if shutil.which("git") else ["test_breaking.py"]
