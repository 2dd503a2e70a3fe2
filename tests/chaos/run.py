"""Runs faults one after the other and tells what each cost."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.ledger import NO_ANSWER, PATIENCE_SECONDS, Driver, Tally
from tests.chaos.region import running_region

CALM_SECONDS = 2.0


@dataclass(frozen=True)
class Outcome:
    """What happened while something was broken, and after."""

    fault: Fault
    done: bool
    tally: Tally
    lost: int
    twice: int
    recovery: float
    """Seconds from the mending to the last error."""

    @property
    def good(self) -> bool:
        """Nothing acknowledged was lost, nothing is there twice, no answer was wrong or missing."""
        kept = not (self.lost or self.twice or self.tally.wrong)
        answered = self.fault.silent or NO_ANSWER not in self.tally.busy
        return kept and answered and not (self.fault.harmless and self.tally.busy)

    def row(self) -> str:
        errors = ", ".join(f"{kind}: {count}" for kind, count in self.tally.busy.items()) or "none"
        if not self.done:
            return f"{self.fault.name:<42} cannot be done here: no file system may be mounted"
        return (
            f"{self.fault.name:<42} {self.tally.sent:>6} {self.lost:>5} {self.twice:>6}"
            f" {len(self.tally.wrong):>6} {self.recovery:>8.1f} s  {errors}"
        )


HEADER = f"{'fault':<42} {'sent':>6} {'lost':>5} {'twice':>6} {'wrong':>6} {'recovery':>10}  errors"


async def break_things(
    folder: Path, faults: Iterable[Fault] = FAULTS, *, rate: float, broken: float, calm: float
) -> list[Outcome]:
    """Break one thing after the other for `broken` seconds each, with `calm` seconds behind it."""
    outcomes = []
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    connector = aiohttp.TCPConnector(limit=500)
    async with (
        running_region(folder) as region,
        aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
    ):
        driver = Driver(region, session, rate)
        for fault in faults:
            driver.tally = Tally()
            stop = asyncio.Event()
            running = asyncio.create_task(driver.run(stop))
            await asyncio.sleep(CALM_SECONDS)
            done = await fault.act(region, broken)
            mended = asyncio.get_running_loop().time()
            await asyncio.sleep(calm)
            stop.set()
            await running
            tally = driver.tally
            driver.tally = Tally()  # what is sent to audit counts for nothing
            lost, twice = await driver.audit()
            recovery = max(0.0, tally.last_error - mended)
            outcomes.append(Outcome(fault, done, tally, lost, twice, recovery))
    return outcomes
