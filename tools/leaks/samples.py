"""Samples the resources of each process of a region."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.stack import Stack
from tools.benchmarks.processes import family
from tools.leaks.slope import HOUR, Point, Slope, slope

MIB: Final = 2**20
SERVICES: Final = ("gateway", "usersvc", "keysvc")
DATABASE: Final = "postgres"
ADMIN_PORTS: Final = {f"{name.upper()}_ADMIN_LISTEN": "127.0.0.1:0" for name in SERVICES}
"""Settings that open the metrics port of each process."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Permitted growth: per hour, and in the whole run."""

    per_hour: float
    total: float


BOUNDS: Final[Mapping[str, Bound]] = {
    "memory MiB": Bound(5.0, 3.0),
    "tasks": Bound(20.0, 15.0),
    "ended tasks kept": Bound(20.0, 15.0),
    "open files": Bound(10.0, 5.0),
    "threads": Bound(5.0, 3.0),
}
"""Not zero: caches fill, allocators keep free memory, and one additional thread is not a leak."""
DATABASE_BOUND: Final = Bound(50.0, 30.0)
"""PostgreSQL's private memory in MiB: its backends cache the statements of each connection."""

_METRICS: Final = {
    "process_resident_memory_bytes": ("memory MiB", MIB),
    "asyncio_tasks": ("tasks", 1),
    "asyncio_tasks_retained": ("ended tasks kept", 1),
    "process_open_fds": ("open files", 1),
}
_STARTED: Final = "process_start_time_seconds"


@dataclass(frozen=True, slots=True)
class Growth:
    """The growth of one value of one process."""

    process: str
    what: str
    first: float
    last: float
    slope: Slope
    hours: float
    bound: Bound

    @property
    def is_leak(self) -> bool:
        """Whether it grows significantly by more than both bounds."""
        total = self.slope.per_hour * self.hours
        return self.slope.exceeds(self.bound.per_hour) and total > self.bound.total


@dataclass(slots=True)
class Samples:
    """Values by process and name, in time order."""

    series: dict[tuple[str, str], list[Point]] = field(default_factory=dict)
    restarted: set[str] = field(default_factory=set)
    """Processes that restarted during the run."""
    _started: dict[str, float] = field(default_factory=dict)

    def add(self, process: str, seconds: float, values: Mapping[str, float]) -> None:
        """Add the values of a process; a changed start time shows a restart."""
        for name, value in values.items():
            if name == _STARTED:
                if self._started.setdefault(process, value) != value:
                    self.restarted.add(process)
            else:
                self.series.setdefault((process, name), []).append((seconds, value))

    def growth(self, warm_up: float) -> list[Growth]:
        """The growth of each value after the warm-up."""
        growths = []
        for (process, what), points in self.series.items():
            warm = [point for point in points if point[0] >= warm_up]
            bound = DATABASE_BOUND if process == DATABASE else BOUNDS[what]
            if warm:
                (began, first), (ended, last) = warm[0], warm[-1]
                hours = (ended - began) / HOUR
                growths.append(Growth(process, what, first, last, slope(warm), hours, bound))
        return growths


class Sampler:
    """Reads the metrics of a region's processes, and /proc."""

    def __init__(self, stack: Stack, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._ports = {name: _admin_port(stack, name) for name in SERVICES}
        self._pids = {name: stack.pid(name) for name in (*SERVICES, DATABASE)}

    async def watch(self, samples: Samples, seconds: float, interval: float) -> None:
        """Sample every `interval` seconds, for `seconds`."""
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            for name in SERVICES:
                try:
                    samples.add(name, now, await self._service(name))
                except (aiohttp.ClientError, OSError, StopIteration):
                    samples.restarted.add(name)
            samples.add(DATABASE, now, {"memory MiB": _private_bytes(self._pids[DATABASE]) / MIB})
            await asyncio.sleep(interval)

    async def _service(self, name: str) -> dict[str, float]:
        async with self._session.get(f"http://{self._ports[name]}/metrics") as response:
            text = await response.text()
        values = {}
        for metric in text_string_to_metric_families(text):
            for sample in metric.samples:
                if sample.name == _STARTED:
                    values[_STARTED] = sample.value
                elif sample.name in _METRICS:
                    what, unit = _METRICS[sample.name]
                    values[what] = sample.value / unit
        status = _proc(self._pids[name], "status")
        line = next(each for each in status.splitlines() if each.startswith("Threads:"))
        return values | {"threads": float(line.split()[1])}


def _admin_port(stack: Stack, name: str) -> str:
    lines = [json.loads(each) for each in stack.log(name).splitlines() if each.startswith("{")]
    address: str = next(each["address"] for each in lines if each.get("event") == "admin listening")
    return address


def _private_bytes(pid: int) -> int:
    """The private memory of a server's processes; shared memory would be counted repeatedly."""
    total = 0
    for each in family(pid):
        try:
            _, resident, shared, *_ = _proc(each, "statm").split()
        except FileNotFoundError:
            continue  # the process has ended
        total += (int(resident) - int(shared)) * 4_096
    return total


def _proc(pid: int, file: str) -> str:
    with open(f"/proc/{pid}/{file}") as opened:
        return opened.read()
