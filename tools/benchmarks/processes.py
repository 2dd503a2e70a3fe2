"""What processes cost: their CPU and memory, from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def family(pid: int) -> list[int]:
    """A process and all that came of it."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def cpu_of_families(pids: Iterable[int]) -> float:
    """User and system time so far of processes and all that came of them, in seconds."""
    return cpu_seconds({member for pid in pids for member in family(pid)})


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time so far, that of ended children of theirs included."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        total += sum(int(each) for each in fields[11:15])
    return total / _TICKS


def resident_bytes(pid: int) -> int:
    """Memory that a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
