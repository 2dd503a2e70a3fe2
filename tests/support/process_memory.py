"""The memory of another process, in bytes, as Linux reports it in /proc."""

import re
from pathlib import Path

MEBIBYTE = 1024 * 1024


def peak_bytes(pid: int) -> int:
    """The peak resident memory of the process since its start (VmHWM)."""
    return _status_bytes(pid, "VmHWM")


def resident_bytes(pid: int) -> int:
    """The current resident memory of the process (VmRSS)."""
    return _status_bytes(pid, "VmRSS")


def _status_bytes(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
