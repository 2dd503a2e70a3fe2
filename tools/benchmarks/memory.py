"""Measures the memory of the service's processes under load, once a second."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.benchmarks.client import Bound
from tools.benchmarks.processes import resident_bytes
from tools.benchmarks.service import Region, service

PROCESSES = ("gateway", "usersvc", "keysvc")
CONNECTIONS = 32


@dataclass(frozen=True)
class MemoryUse:
    """The resident memory of a process, in megabytes of 10^6 bytes."""

    process: str
    least: float
    most: float
    last: float
    growth: float
    """Megabytes in ten minutes: the least-squares slope of the second half."""
    series: list[float]
    """One value about every ten seconds."""


async def measure(folder: Path, seconds: float, log: Callable[[str], None]) -> dict[str, object]:
    """Measure an Entra mix over 32 connections for `seconds`."""
    async with service(folder, 1_000) as region:
        log(f"an Entra mix over {CONNECTIONS} connections for {seconds:.0f} s")
        sampling = asyncio.create_task(_sample(region, seconds))
        bound = Bound(1_000_000_000, seconds)
        sample = await region.server.run("mix", CONNECTIONS, bound)
        uses = [_memory_use(name, points) for name, points in (await sampling).items()]
    for each in uses:
        log(line(each))
    return {
        "seconds": seconds,
        "rate": round(sample.rate, 1),
        "wrong": sample.wrong,
        "processes": [asdict(each) for each in uses],
    }


def line(use: MemoryUse) -> str:
    """A process's memory as text."""
    return (
        f"{use.process:<8} {use.least:>6.1f} to {use.most:.1f} MB, {use.last:.1f} at the end,"
        f" {use.growth:+.2f} MB in 10 minutes"
    )


Points = Sequence[tuple[float, float]]


async def _sample(region: Region, seconds: float) -> dict[str, Points]:
    pids = {name: region.stack.pid(name) for name in PROCESSES}
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in PROCESSES}
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        for name, pid in pids.items():
            points[name].append((now, resident_bytes(pid) / 1e6))
        await asyncio.sleep(1)
    return points


def _memory_use(process: str, points: Points) -> MemoryUse:
    sizes = [size for _, size in points]
    return MemoryUse(
        process,
        least=round(min(sizes), 1),
        most=round(max(sizes), 1),
        last=round(sizes[-1], 1),
        growth=round(slope(points[len(points) // 2 :]) * 600, 2),
        series=[round(size, 1) for size in sizes[::10]],
    )


def slope(points: Points) -> float:
    """The slope of the least-squares line through points."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    sum_xx = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum_xx if sum_xx else 0.0
