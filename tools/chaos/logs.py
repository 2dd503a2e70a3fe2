"""Errors in the logs of a region's processes."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

SEVERE = frozenset({"error", "critical"})
PERMITTED = frozenset({"log lines dropped"})
"""Errors that report a documented effect of a fault."""


class Logs:
    """Reads what the processes have logged since the last time."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._offsets = dict.fromkeys(files, 0)

    def read_errors(self) -> Counter[str]:
        """Count the new errors by program and text. A traceback counts, too."""
        errors: Counter[str] = Counter()
        for file in self._offsets:
            program = file.stem.rstrip("0123456789")
            errors.update(f"{program} logged: {text}" for text in self._new_errors(file))
        return errors

    def _new_errors(self, file: Path) -> Iterator[str]:
        with file.open("rb") as lines:
            lines.seek(self._offsets[file])
            for line in lines:
                if not line.endswith(b"\n"):  # it is still being written
                    return
                self._offsets[file] += len(line)
                if text := error_text(line):
                    yield text


def error_text(line: bytes) -> str:
    """The event of an error, or the first line of a traceback; empty for any other line."""
    if line.startswith(b"Traceback"):
        return "Traceback"
    try:
        entry = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(entry, dict) or entry.get("level") not in SEVERE:
        return ""
    event = str(entry.get("event"))
    return "" if event in PERMITTED else event.partition("\n")[0]
