"""Injects faults one after the other and reports the effects of each."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.chaos.audit import Audit, audit, read_each
from tools.chaos.counts import NO_RESPONSE, SLOW, FaultCounts
from tools.chaos.driver import Driver
from tools.chaos.faults import Fault
from tools.chaos.region import Region, running_region

CALM_SECONDS = 1.0
"""Seconds of requests before a fault."""
TAIL_SECONDS = 2.0
"""Seconds of successful requests after which a fault counts as over."""

HEADER = f"{'fault':<43} {'sent':>6} {'lost':>5} {'dup':>6} {'wrong':>6} {'recovery':>10}  errors"


@dataclass(frozen=True)
class Outcome:
    """The effects during and after a fault."""

    fault: Fault
    injected: bool
    counts: FaultCounts
    audit: Audit
    recovery: float
    """Seconds from the repair to the last error or slow response."""

    @property
    def violations(self) -> list[str]:
        """Descriptions of all effects that the fault does not permit, and of a slow recovery."""
        if self.recovery <= self.fault.recovery:
            return self.wrong_effects
        return [
            *self.wrong_effects,
            f"recovery: {self.recovery:.1f} s, not {self.fault.recovery:.0f}",
        ]

    @property
    def wrong_effects(self) -> list[str]:
        """Descriptions of the effects that no machine, however slow, permits."""
        effects = [
            f"{kind}: {what} ({count})"
            for kind, counts in (
                ("lost", self.audit.lost),
                ("duplicated", self.audit.duplicated),
                ("wrong", self.counts.wrong + self.audit.wrong),
            )
            for what, count in counts.items()
        ]
        if NO_RESPONSE in self.counts.busy and not self.fault.may_drop_requests:
            effects.append(
                f"no response: {self.counts.busy[NO_RESPONSE]} requests, without a killed gateway"
            )
        if self.fault.must_not_fail and self.counts.busy:
            effects.append(f"failed: {self.counts.busy.total()} requests; none is permitted")
        return effects

    def row(self) -> str:
        """A line below HEADER."""
        if not self.injected:
            return f"{self.fault.name:<43} skipped: a file system cannot be mounted here"
        errors = self.counts.busy + Counter({SLOW: self.counts.slow})
        wrong = self.counts.wrong + self.audit.wrong
        return (
            f"{self.fault.name:<43} {self.counts.sent:>6} {self.audit.lost.total():>5}"
            f" {self.audit.duplicated.total():>6} {wrong.total():>6} {self.recovery:>8.1f} s"
            f"  {', '.join(f'{kind}: {count}' for kind, count in errors.items()) or 'none'}"
        )


class Chaos:
    """A region under load into which faults are injected one by one."""

    def __init__(self, region: Region, driver: Driver) -> None:
        self._region = region
        self._driver = driver

    async def inject(self, fault: Fault, broken: float, calm: float) -> Outcome:
        """Inject a fault for about `broken` seconds, continue for `calm` seconds, and audit.

        A fault with a long minimum duration or recovery takes longer.
        """
        counts = self._driver.counts = FaultCounts()
        stop = asyncio.Event()
        running = asyncio.create_task(self._driver.run(stop))
        await asyncio.sleep(CALM_SECONDS)
        injected = await fault.inject(self._region, max(broken, fault.min_seconds))
        repaired = time.monotonic()
        await asyncio.sleep(max(calm, fault.recovery + TAIL_SECONDS))
        stop.set()
        await running
        self._driver.counts = FaultCounts()  # requests of the audit are not counted
        result = await audit(self._driver)
        return Outcome(fault, injected, counts, result, max(0.0, counts.last_failure - repaired))

    async def read_each(self) -> Audit:
        """Read every person ever created by id."""
        return await read_each(self._driver)


@asynccontextmanager
async def region_under_load(folder: Path, rate: float) -> AsyncIterator[Chaos]:
    """A region with two replicas each, and a driver that sends `rate` requests a second."""
    async with running_region(folder) as region, Driver(region, rate).connected() as driver:
        yield Chaos(region, driver)
