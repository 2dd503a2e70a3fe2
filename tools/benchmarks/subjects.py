"""The subjects of a comparison."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from tools.benchmarks.client import Bound, Sample, drive
from tools.benchmarks.processes import cpu_of_families
from tools.benchmarks.work import OPERATIONS, Work


class Subject(Protocol):
    """A program that executes operations and is measured."""

    name: str
    operations: Collection[str]

    async def run(self, operation: str, connections: int, bound: Bound) -> Sample:
        """Execute an operation repeatedly and check the results."""

    def cpu(self) -> float:
        """CPU seconds so far of all its processes, the database included."""


class UnavailableError(Exception):
    """A subject cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Server:
    """A subject with an HTTP API."""

    name: str
    address: tuple[str, int]
    work: Work
    pids: list[int]
    operations: Collection[str] = OPERATIONS

    async def run(self, operation: str, connections: int, bound: Bound) -> Sample:
        return await drive(self.address, connections, self.work.operation(operation), bound)

    def cpu(self) -> float:
        return cpu_of_families(self.pids)
