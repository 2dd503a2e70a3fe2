"""`make stall`: measures how long hostile requests of one organization delay those of another.

Sends every shape of hostile input to every route of the gateway, and the largest calls to the
services. Fails if a request of the other organization waits longer than the goal.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.stack import ROOT, Stack, running_stack
from tools.stall import rpcs
from tools.stall.attacks import attacks
from tools.stall.burst import send_burst
from tools.stall.measure import Row, Trial, of_attack, of_trial
from tools.stall.parties import Attacker, Victim, parties
from tools.stall.prober import probing
from tools.stall.report import report
from tools.stall.routes import all_routes

FILE = ROOT / "build" / "stall.txt"
IDLE_SECONDS = 2.0


@dataclass
class Measured:
    """The results over HTTP and gRPC."""

    rows: list[Row]
    idle: float = 0.0
    """Seconds for a cheap request on the idle service."""
    left_out: int = 0
    """Number of shapes left out for lack of time."""


def measure_http(attacker: Attacker, victim: Victim, only: str, seconds: float) -> Measured:
    """Measure every shape at every route."""
    address = (victim.probe.host, victim.probe.port)
    measured = Measured([])
    ends = time.monotonic() + seconds
    with probing(victim.probe) as prober:
        time.sleep(IDLE_SECONDS)
        prober.measure_idle(IDLE_SECONDS)
        measured.idle = prober.idle
        for route in all_routes():
            chosen = [each for each in attacks(route, attacker) if only in f"{route} {each.shape}"]
            rows = [of_attack(each, address, prober) for each in chosen if time.monotonic() < ends]
            measured.rows += rows
            measured.left_out += len(chosen) - len(rows)
            if rows:
                worst = max(row.seconds for row in rows) * 1e3
                print(f"{route}: {len(rows)} shapes, the worst {worst:.0f} ms", flush=True)
    return measured


def measure_grpc(stack: Stack, attacker: Attacker, victim: Victim, only: str) -> Iterator[Row]:
    """Measure every large call of usersvc and keysvc."""
    for name, calls, probe in (
        ("usersvc", rpcs.of_usersvc, rpcs.user_probe),
        ("keysvc", rpcs.of_keysvc, rpcs.key_probe),
    ):
        target = f"127.0.0.1:{stack.service_port(name)}"
        with probing(probe(target, victim)) as prober:
            time.sleep(IDLE_SECONDS)
            prober.measure_idle(IDLE_SECONDS)
            for each in calls(target, attacker):
                if only in f"{name} {each.shape}":
                    yield of_trial(prober, Trial(name, each.shape, each, size=each.size))


async def create_parties(stack: Stack) -> tuple[Attacker, Victim]:
    """Create the two organizations."""
    async with parties(stack) as (attacker, victim, _):
        return attacker, victim


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.stall", description=__doc__)
    parser.add_argument(
        "--only", default="", help="only routes and shapes whose names contain this"
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="time limit for the routes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stall-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's account must be able to traverse it
        with running_stack(Path(name)) as stack:
            attacker, victim = asyncio.run(create_parties(stack))
            measured = measure_http(attacker, victim, options.only, options.minutes * 60)
            measured.rows += measure_grpc(stack, attacker, victim, options.only)
            burst = send_burst(stack, attacker, victim)
            has_internal_error = '"event":"internal error"' in stack.log("gateway")
    good = report(measured.rows, burst, measured.idle, FILE)
    if measured.left_out:
        print(f"{measured.left_out} shapes were left out for lack of time (--minutes).")
    if has_internal_error:
        print("The gateway logged an internal error: an input raised an unexpected exception.")
    return 0 if good and not has_internal_error and not measured.left_out else 1


if __name__ == "__main__":
    sys.exit(main())
