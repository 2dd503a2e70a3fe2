"""The repository contains only files of the project."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_ignored_file_is_tracked():
    asked = ("git", "ls-files", "--cached", "--ignored", "--exclude-standard")
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == []
