"""What is measured, and what it costs."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from tools.benchmarks.client import Bound, Sample, drive
from tools.benchmarks.processes import cpu_of_families
from tools.benchmarks.work import OPERATIONS, Work


class Subject(Protocol):
    """Something that does the work."""

    name: str
    operations: Collection[str]

    async def run(self, operation: str, connections: int, bound: Bound) -> Sample:
        """Do the work and check what comes of it."""

    def cpu(self) -> float:
        """Seconds of all its processes so far, those of its database included."""


class MissingError(Exception):
    """A subject that cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Server:
    """A subject that answers over HTTP."""

    name: str
    address: tuple[str, int]
    work: Work
    pids: list[int]
    operations: Collection[str] = OPERATIONS

    async def run(self, operation: str, connections: int, bound: Bound) -> Sample:
        return await drive(self.address, connections, self.work.operation(operation), bound)

    def cpu(self) -> float:
        return cpu_of_families(self.pids)
