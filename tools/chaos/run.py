"""Injects faults one after the other and reports the effects of each."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.chaos.audit import Audit, audit, read_each
from tools.chaos.counts import NO_RESPONSE, SLOW, FaultCounts
from tools.chaos.driver import Driver
from tools.chaos.faults import Fault
from tools.chaos.feed import FeedFollower
from tools.chaos.logs import Logs
from tools.chaos.region import Region, running_region

BASELINE_SECONDS = 1.0
"""How long requests are sent before a fault."""
QUIET_SECONDS = 2.0
"""How long requests are sent after the recovery time of a fault; all of them must succeed."""

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
        """Descriptions of the forbidden effects, and of a recovery that is too slow."""
        if self.recovery <= self.fault.recovery:
            return self.forbidden_effects
        return [
            *self.forbidden_effects,
            f"recovery: {self.recovery:.1f} s; limit: {self.fault.recovery:.0f} s",
        ]

    @property
    def forbidden_effects(self) -> list[str]:
        """Descriptions of the effects that are forbidden even on a slow machine."""
        effects = [
            f"{kind}: {what} ({count})"
            for kind, counts in (
                ("lost", self.audit.lost),
                ("duplicated", self.audit.duplicated),
                ("wrong", self.counts.wrong + self.audit.wrong),
            )
            for what, count in counts.items()
        ]
        retryable = self.counts.retryable_errors
        if NO_RESPONSE in retryable and not self.fault.may_drop_requests:
            effects.append(
                f"no response: {retryable[NO_RESPONSE]} requests, without a killed gateway"
            )
        if self.fault.must_not_fail and retryable:
            effects.append(f"failed: {retryable.total()} requests; none is permitted")
        return effects

    def row(self) -> str:
        """The row of the table that HEADER begins."""
        if not self.injected:
            return f"{self.fault.name:<43} skipped: not possible on this machine"
        errors = self.counts.retryable_errors + Counter({SLOW: self.counts.slow})
        wrong = self.counts.wrong + self.audit.wrong
        return (
            f"{self.fault.name:<43} {self.counts.sent:>6} {self.audit.lost.total():>5}"
            f" {self.audit.duplicated.total():>6} {wrong.total():>6} {self.recovery:>8.1f} s"
            f"  {', '.join(f'{kind}: {count}' for kind, count in errors.items()) or 'none'}"
        )


class Chaos:
    """A region under load into which faults are injected one by one."""

    def __init__(self, region: Region, driver: Driver, feed: FeedFollower) -> None:
        """`feed` follows from the first change on."""
        self._feed = feed
        self._logs = Logs([each.program.log for each in region.processes])
        self._region = region
        self._driver = driver

    async def inject(self, fault: Fault, fault_seconds: float, recovery_seconds: float) -> Outcome:
        """Inject a fault for about `fault_seconds`, continue for `recovery_seconds`, and audit.

        A fault with a long minimum duration or recovery takes longer.
        """
        counts = self._driver.counts = FaultCounts()
        stop = asyncio.Event()
        running = asyncio.create_task(self._driver.run(stop))
        await asyncio.sleep(BASELINE_SECONDS)
        injected = await fault.inject(self._region, max(fault_seconds, fault.min_seconds))
        repaired = time.monotonic()
        await asyncio.sleep(max(recovery_seconds, fault.recovery + QUIET_SECONDS))
        stop.set()
        await running
        self._driver.counts = FaultCounts()  # requests of the audit are not counted
        counts.wrong += self._region.violations + self._logs.read_errors()
        self._region.violations.clear()
        result = await audit(self._driver, self._feed.compare)
        return Outcome(fault, injected, counts, result, max(0.0, counts.last_failure - repaired))

    async def read_each(self) -> Audit:
        """Read by id every person that was created, including deleted ones, and the whole feed."""
        each = await read_each(self._driver)
        async with _followed_feed(self._region, self._feed.first_token) as feed:
            everything = await audit(self._driver, feed.compare)
        return Audit(
            each.checked,
            each.lost + everything.lost,
            everything.duplicated,
            each.wrong + everything.wrong,
        )


@asynccontextmanager
async def region_under_load(folder: Path, rate: float) -> AsyncIterator[Chaos]:
    """Two replicas of each component, and a driver that sends `rate` requests a second."""
    async with (
        running_region(folder) as region,
        Driver(region, rate).connected() as driver,
        _followed_feed(region) as feed,
    ):
        yield Chaos(region, driver, feed)


@asynccontextmanager
async def _followed_feed(region: Region, token: str = "") -> AsyncIterator[FeedFollower]:
    """A copy of all people that follows the feed from a token, by default from now on."""
    channel = region.certificates.channel
    connections = [partial(channel, each.address, "usersvc") for each in region.usersvc]
    feed = FeedFollower(connections, token)
    following = asyncio.create_task(feed.follow())
    try:
        yield feed
    finally:
        following.cancel()
