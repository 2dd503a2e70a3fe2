"""What can be judged here."""

import shutil

# On a machine without git `make lint` says that it does not compare contracts.
collect_ignore = [] if shutil.which("git") else ["test_breaking.py"]
