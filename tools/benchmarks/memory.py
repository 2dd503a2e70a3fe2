"""What the processes of the service hold under load, second by second."""

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
class Held:
    """What a process held, in megabytes of 10^6 bytes."""

    process: str
    least: float
    most: float
    last: float
    growth: float
    """Of the second half, by least squares, for ten minutes."""
    series: list[float]
    """About every ten seconds."""


async def measure(folder: Path, seconds: float, tell: Callable[[str], None]) -> dict[str, object]:
    """An Entra mix over 32 connections for so long."""
    async with service(folder, 1_000) as region:
        tell(f"an Entra mix over {CONNECTIONS} connections for {seconds:.0f} s")
        watching = asyncio.create_task(_watch(region, seconds))
        bound = Bound(1_000_000_000, seconds)
        sample = await region.server.run("mix", CONNECTIONS, bound)
        held = [_held(name, taken) for name, taken in (await watching).items()]
    for each in held:
        tell(line(each))
    return {
        "seconds": seconds,
        "rate": round(sample.rate, 1),
        "wrong": sample.wrong,
        "processes": [asdict(each) for each in held],
    }


def line(held: Held) -> str:
    """What a process held, as it is printed."""
    return (
        f"{held.process:<8} {held.least:>6.1f} to {held.most:.1f} MB, {held.last:.1f} at the end,"
        f" {held.growth:+.2f} MB in 10 minutes"
    )


Taken = Sequence[tuple[float, float]]


async def _watch(region: Region, seconds: float) -> dict[str, Taken]:
    pids = {name: region.stack.pid(name) for name in PROCESSES}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in PROCESSES}
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        for name, pid in pids.items():
            taken[name].append((now, resident_bytes(pid) / 1e6))
        await asyncio.sleep(1)
    return taken


def _held(process: str, taken: Taken) -> Held:
    sizes = [size for _, size in taken]
    return Held(
        process,
        least=round(min(sizes), 1),
        most=round(max(sizes), 1),
        last=round(sizes[-1], 1),
        growth=round(slope(taken[len(taken) // 2 :]) * 600, 2),
        series=[round(size, 1) for size in sizes[::10]],
    )


def slope(points: Taken) -> float:
    """The rise of the line that lies closest to some points."""
    count = len(points)
    middle = sum(x for x, _ in points) / count
    level = sum(y for _, y in points) / count
    width = sum((x - middle) ** 2 for x, _ in points)
    return sum((x - middle) * (y - level) for x, y in points) / width if width else 0.0
