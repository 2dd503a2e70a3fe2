"""The CPU time of the processes of a region."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from tools.benchmarks.processes import family

SERVICES = ("gateway", "usersvc", "keysvc")
POSTGRES = "postgres"
_CPUCLOCK_SCHED = 2
"""Linux's scheduler clock of a process, summed over its threads."""


class ProcessEndedError(Exception):
    """A process ended while it was measured."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds of user and system time so far."""

    services: float
    postgres: float

    def __sub__(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(self.services - earlier.services, self.postgres - earlier.postgres)


class RegionProcesses:
    """The three services and PostgreSQL below one supervisor.

    The supervisor itself is left out: it copies logs, and does no other work for a request.
    """

    def __init__(self, supervisor: int) -> None:
        """Find the processes. Raises ProcessEndedError if one is missing."""
        self._services: dict[str, int] = {}
        for child in psutil.Process(supervisor).children(recursive=True):
            for name in _names(child):
                self._services.setdefault(name, child.pid)
        missing = {*SERVICES, POSTGRES} - self._services.keys()
        if missing:
            raise ProcessEndedError(f"there is no process of {', '.join(sorted(missing))}")
        self._postgres = self._services.pop(POSTGRES)

    def cpu_time(self) -> CpuTime:
        """CPU time so far. Raises ProcessEndedError if a service has ended."""
        services = sum(_process_seconds(pid, name) for name, pid in self._services.items())
        return CpuTime(services, _postgres_seconds(self._postgres))


def _names(process: psutil.Process) -> Iterator[str]:
    """The names that a process matches: `python -m NAME …`, or PostgreSQL's program."""
    try:
        words, program = process.cmdline(), process.name()
    except psutil.NoSuchProcess:
        return
    if program == POSTGRES:
        yield POSTGRES
    for option, module in itertools.pairwise(words):
        if option == "-m" and module in SERVICES:
            yield module


def _process_seconds(pid: int, name: str) -> float:
    """CPU seconds of a process, in nanosecond resolution; /proc/PID/stat has ticks of 10 ms."""
    try:
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        raise ProcessEndedError(f"{name} ended while it was measured") from None


def _postgres_seconds(postmaster: int) -> float:
    """CPU seconds of PostgreSQL's processes, including ended ones."""
    try:
        ended = psutil.Process(postmaster).cpu_times()
        total = float(ended.children_user + ended.children_system)
        members = family(postmaster)
    except psutil.NoSuchProcess:
        raise ProcessEndedError("PostgreSQL ended while it was measured") from None
    for pid in members:
        try:
            total += time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
        except OSError:  # a backend that has just ended; the next reading includes it
            continue
    return total
