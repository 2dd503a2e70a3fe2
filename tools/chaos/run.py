"""Runs faults one after the other and tells what each cost."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.chaos.audit import Audit, audit, read_each
from tools.chaos.driver import Driver
from tools.chaos.faults import Fault
from tools.chaos.region import Region, running_region
from tools.chaos.tally import NO_ANSWER, SLOW, Tally

CALM_SECONDS = 1.0
TAIL_SECONDS = 2.0
"""How long requests have to go well before it is believed that the fault is over."""

HEADER = f"{'fault':<43} {'sent':>6} {'lost':>5} {'twice':>6} {'wrong':>6} {'recovery':>10}  errors"


@dataclass(frozen=True)
class Outcome:
    """What happened while something was broken, and after."""

    fault: Fault
    done: bool
    tally: Tally
    audit: Audit
    recovery: float
    """Seconds from the mending to the last error or slow answer."""

    @property
    def complaints(self) -> list[str]:
        """All that must not be."""
        told = [
            f"{kind}: {what} ({count})"
            for kind, counts in (
                ("lost", self.audit.lost),
                ("twice", self.audit.twice),
                ("wrong", self.tally.wrong + self.audit.wrong),
            )
            for what, count in counts.items()
        ]
        if NO_ANSWER in self.tally.busy and not self.fault.silent:
            told.append(f"silent: {self.tally.busy[NO_ANSWER]} requests got no answer")
        if self.fault.harmless and self.tally.busy:
            told.append(f"failed: {self.tally.busy.total()} requests, of which none may")
        if self.recovery > self.fault.recovery:
            told.append(f"recovery: {self.recovery:.1f} s, not {self.fault.recovery:.0f}")
        return told

    def row(self) -> str:
        """A line below HEADER."""
        if not self.done:
            return f"{self.fault.name:<43} cannot be done here: no file system may be mounted"
        errors = self.tally.busy + Counter({SLOW: self.tally.slow})
        wrong = self.tally.wrong + self.audit.wrong
        return (
            f"{self.fault.name:<43} {self.tally.sent:>6} {self.audit.lost.total():>5}"
            f" {self.audit.twice.total():>6} {wrong.total():>6} {self.recovery:>8.1f} s"
            f"  {', '.join(f'{kind}: {count}' for kind, count in errors.items()) or 'none'}"
        )


class Chaos:
    """A region under load, and the faults that come over it one by one."""

    def __init__(self, region: Region, driver: Driver) -> None:
        self._region = region
        self._driver = driver

    async def suffer(self, fault: Fault, broken: float, calm: float) -> Outcome:
        """Break something for about `broken` seconds, go on for `calm` seconds, and audit.

        The calm is longer where the fault may take longer to get over.
        """
        tally = self._driver.tally = Tally()
        stop = asyncio.Event()
        running = asyncio.create_task(self._driver.run(stop))
        await asyncio.sleep(CALM_SECONDS)
        done = await fault.act(self._region, max(broken, fault.at_least))
        mended = time.monotonic()
        await asyncio.sleep(max(calm, fault.recovery + TAIL_SECONDS))
        stop.set()
        await running
        self._driver.tally = Tally()  # what is sent to audit counts for nothing
        found = await audit(self._driver)
        return Outcome(fault, done, tally, found, max(0.0, tally.last_trouble - mended))

    async def read_each(self) -> Audit:
        """Ask for everybody who ever was, by id."""
        return await read_each(self._driver)


@asynccontextmanager
async def region_under_load(folder: Path, rate: float) -> AsyncIterator[Chaos]:
    """A region of two replicas each, and a driver that sends so many requests a second."""
    async with running_region(folder) as region, Driver(region, rate).connected() as driver:
        yield Chaos(region, driver)
