"""The faults: each breaks something and mends it, while requests go on."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tools.chaos.region import REPLICAS, Region

Break = Callable[[Region, float], Awaitable[bool]]
"""Breaks for so many seconds and mends; whether it could be done here."""


RECOVERY_SECONDS = 5.0
"""How long after a fault's end requests may still fail, unless it is said otherwise."""
DEADLINE_SECONDS = 10.0
"""How long the gateway waits for what it has sent and cannot know the fate of."""
LOOK_SECONDS = 0.5
LONG_SECONDS = DEADLINE_SECONDS + 5.0
"""What has been told to have failed by then is repeated, and acknowledged where that can be."""


@dataclass(frozen=True)
class Fault:
    """What is done, and what may come of it."""

    name: str
    act: Break
    harmless: bool = False
    """Not one request may fail."""
    silent: bool = False
    """A request may get no answer at all: the process that took it is gone."""
    at_least: float = 0.0
    """Seconds below which the fault would show nothing."""
    recovery: float = RECOVERY_SECONDS
    """Seconds after the fault's end from which on no request may fail or be slow."""


async def _kill_usersvc(region: Region, _: float) -> bool:
    await region.kill(region.usersvc)
    return True


async def _kill_keysvc(region: Region, _: float) -> bool:
    await region.kill(region.keysvc)
    return True


async def _kill_gateways(region: Region, _: float) -> bool:
    await region.kill(region.gateways)
    return True


async def _kill_one_after_the_other(region: Region, seconds: float) -> bool:
    for child in region.processes:
        await region.kill([child])
        await asyncio.sleep(seconds / len(region.processes))
    return True


async def _kill_everything(region: Region, _: float) -> bool:
    region.kill_database()
    await region.kill(region.processes)
    region.cluster.start()
    return True


async def _stop_database(region: Region, seconds: float) -> bool:
    region.cluster.stop()
    await asyncio.sleep(seconds)
    region.cluster.start()
    return True


async def _kill_database(region: Region, seconds: float) -> bool:
    region.kill_database()
    await asyncio.sleep(seconds)
    region.cluster.start()
    return True


async def _freeze_database(region: Region, seconds: float) -> bool:
    region.freeze(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    region.freeze(signal.SIGCONT)
    return True


async def _fill_disk(region: Region, seconds: float) -> bool:
    if not region.fill_disk():
        return False
    await asyncio.sleep(seconds)
    region.ballast.unlink()
    if not region.cluster.running:
        region.cluster.start()
    return True


async def _cut_network(region: Region, seconds: float) -> bool:
    for proxy in region.proxies:
        proxy.cut = True
    await asyncio.sleep(seconds)
    for proxy in region.proxies:
        proxy.cut = False
    return True


async def _hold_network(region: Region, seconds: float) -> bool:
    """Of one replica of usersvc only: what the gateway gave up is repeated at the other one.

    It is the one that has the more to do: the gateways' streams may all lead to the other.
    """
    ways = region.proxies[:REPLICAS]
    before = [way.passed for way in ways]
    await asyncio.sleep(LOOK_SECONDS)
    held = max(zip(ways, before, strict=True), key=lambda each: each[0].passed - each[1])[0]
    held.hold()
    await asyncio.sleep(seconds)
    held.deliver()
    return True


async def _slow_network(region: Region, seconds: float) -> bool:
    for proxy in region.proxies:
        proxy.delay = 0.2
    await asyncio.sleep(seconds)
    for proxy in region.proxies:
        proxy.delay = 0.0
    return True


async def _roll(region: Region, _: float) -> bool:
    await region.roll()
    return True


FAULTS = (
    Fault("usersvc killed, both replicas", _kill_usersvc),
    Fault("keysvc killed, both replicas", _kill_keysvc),
    Fault("gateways killed, both replicas", _kill_gateways, silent=True),
    Fault("each process killed in turn", _kill_one_after_the_other, silent=True),
    Fault("everything killed at once", _kill_everything, silent=True),
    Fault("PostgreSQL stopped", _stop_database),
    Fault("PostgreSQL killed", _kill_database),
    Fault("PostgreSQL frozen", _freeze_database, at_least=LONG_SECONDS),
    Fault("disk of PostgreSQL full", _fill_disk),
    Fault("network cut between gateways and services", _cut_network, at_least=LONG_SECONDS),
    Fault(
        "network to a usersvc held, then delivering",
        _hold_network,
        at_least=LONG_SECONDS + 3.0,
        recovery=DEADLINE_SECONDS,
    ),
    Fault("network 200 ms slower each way", _slow_network),
    Fault("rolling restart of everything", _roll, harmless=True, recovery=0.0),
)
