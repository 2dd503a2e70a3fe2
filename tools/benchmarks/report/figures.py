"""The figures of a report: the last measurement of each part, with its day and machine.

The published report is below `docs/`. A measurement writes to `build/bench/`, so that the checkout
stays clean, unless `--update-docs` is given.
"""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from tests.support.stack import ROOT

DOCUMENTS = ROOT / "docs"
BUILD = ROOT / "build" / "bench"

_CHANGED = ("diff", "HEAD", "--", ":!docs")
"""Shows local changes, except those of the figures in docs/."""


def read(folder: Path) -> dict[str, Any]:
    """The figures of the report in a folder; empty if there are none yet."""
    path = _file(folder)
    return orjson.loads(path.read_bytes()) if path.exists() else {}


def write(figures: Mapping[str, Any], folder: Path) -> None:
    """Write the figures of the report in a folder."""
    path = _file(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")


def _file(folder: Path) -> Path:
    return folder / "performance" / "figures.json"


def stamp() -> dict[str, str]:
    """The day, revision and machine of a measurement."""
    return {
        "day": datetime.now(UTC).date().isoformat(),
        "revision": _git("rev-parse", "--short", "HEAD") + ("+" if _git(*_CHANGED) else ""),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
    }


def _git(*words: str) -> str:
    result = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "?"
