"""The delay of one organization while another sends sixteen large bodies at once.

The gateway has its default rate limits.
"""

import dataclasses
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from gateway.api.app import PREFIX
from tests.support.gateways import running_gateway
from tests.support.stack import Stack
from tools.stall.inputs.attack import RawRequest
from tools.stall.inputs.bodies import RESOURCES
from tools.stall.measure import GOAL_SECONDS, send
from tools.stall.parties import Attacker, Victim
from tools.stall.prober import Wait, probing

AT_ONCE: Final = 16
BYTES: Final = 1_000_000
SHAPE: Final = "numbers"


@dataclasses.dataclass(frozen=True, slots=True)
class Burst:
    """Durations of the victim's requests before and during the burst, and statuses of the burst."""

    before: Sequence[float]
    during: Sequence[float]
    lost: int
    statuses: Counter[str]

    @property
    def is_good(self) -> bool:
        delay = _percentile(self.during, 50) - _percentile(self.before, 50)
        return delay <= GOAL_SECONDS and not self.lost

    def __str__(self) -> str:
        statuses = ", ".join(
            f"{count} x {status}" for status, count in sorted(self.statuses.items())
        )
        before, during = (
            f"p50 {_percentile(each, 50) * 1e3:.0f} p99 {_percentile(each, 99) * 1e3:.0f} ms"
            for each in (self.before, self.during)
        )
        return (
            f"{AT_ONCE} bodies of 1 MB at once, default rate limits: another organization's GET"
            f" takes {during} (before: {before}); {self.lost} lost; statuses: {statuses}"
        )


def send_burst(stack: Stack, attacker: Attacker, victim: Victim, seconds: float = 6.0) -> Burst:
    """Send the bodies repeatedly for `seconds` to a gateway with the default limits."""
    with running_gateway(stack) as gateway:
        host, port = gateway.address
        probe = dataclasses.replace(victim.probe, host=host, port=port)
        headers = (
            ("Authorization", f"Bearer {attacker.token}".encode()),
            ("Content-Type", b"application/scim+json"),
        )
        body = RESOURCES[SHAPE](BYTES)
        raw = RawRequest("POST", f"{PREFIX}/Users", headers, body).raw(f"{host}:{port}")
        with probing(probe, pause=0.02) as prober:  # within the organization's rate limit
            time.sleep(1.0)
            before = prober.measure_idle(2.0)
            statuses = _send_all((host, port), raw, seconds)
            during = prober.collect()
    return Burst(
        _seconds(before), _seconds(during), sum(not each.correct for each in during), statuses
    )


def _send_all(address: tuple[str, int], raw: bytes, seconds: float) -> Counter[str]:
    statuses: Counter[str] = Counter()
    ends = time.monotonic() + seconds

    def send_repeatedly() -> None:
        while time.monotonic() < ends:
            statuses[send(address, raw)] += 1

    threads = [threading.Thread(target=send_repeatedly) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def _seconds(waits: Sequence[Wait]) -> list[float]:
    return [each.seconds for each in waits]


def _percentile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return sum(values)
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
