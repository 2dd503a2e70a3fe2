"""The repository contains only files of the project."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_ignored_file_is_tracked():
    command = ("git", "ls-files", "--cached", "--ignored", "--exclude-standard")
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == []
