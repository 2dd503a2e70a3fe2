"""The memory of another process, in bytes, as Linux reports it in /proc."""

import re
from pathlib import Path

MEBIBYTE = 1024 * 1024


def peak_bytes(pid: int) -> int:
    """The most memory that the process has had since it started (VmHWM)."""
    return _status_bytes(pid, "VmHWM")


def resident_bytes(pid: int) -> int:
    """The memory that the process has now (VmRSS)."""
    return _status_bytes(pid, "VmRSS")


def _status_bytes(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
