"""`make stall`: how long one organization's requests wait while another sends something hostile.

Every route of the gateway and the largest calls of the services are sent every shape that they
may get. It fails when a request of another organization waits for longer than the goal.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.stack import ROOT, Stack, running_stack
from tests.stall import rpcs
from tests.stall.attacks import attacks
from tests.stall.crowd import crowd
from tests.stall.measure import Row, Trial, measured, of_attack
from tests.stall.parties import Attacker, Victim, parties
from tests.stall.prober import probing
from tests.stall.report import report
from tests.stall.routes import all_routes

FILE = ROOT / "build" / "stall.txt"
REST_SECONDS = 2.0


def over_http(
    attacker: Attacker, victim: Victim, only: str, seconds: float
) -> tuple[list[Row], float]:
    """A row for each shape at each route, and how long a request takes while nobody else asks."""
    address = (victim.probe.host, victim.probe.port)
    rows: list[Row] = []
    ends = time.monotonic() + seconds
    with probing(victim.probe) as prober:
        time.sleep(REST_SECONDS)
        prober.rest(REST_SECONDS)
        for route in all_routes():
            found = [
                of_attack(attack, address, prober)
                for attack in attacks(route, attacker)
                if only in f"{route} {attack.shape}" and time.monotonic() < ends
            ]
            if found:
                worst = max(row.seconds for row in found) * 1e3
                print(f"{route}: {len(found)} shapes, the worst {worst:.0f} ms", flush=True)
            rows += found
        return rows, prober.idle


def over_grpc(stack: Stack, attacker: Attacker, victim: Victim, only: str) -> Iterator[Row]:
    """A row for each large call of usersvc and keysvc."""
    for name, calls, probe in (
        ("usersvc", rpcs.of_usersvc, rpcs.user_probe),
        ("keysvc", rpcs.of_keysvc, rpcs.key_probe),
    ):
        target = f"127.0.0.1:{stack.service_port(name)}"
        with probing(probe(target, victim)) as prober:
            time.sleep(REST_SECONDS)
            prober.rest(REST_SECONDS)
            for each in calls(target, attacker):
                if only in f"{name} {each.shape}":
                    yield measured(prober, Trial(name, each.shape, each, size=each.size))


async def prepared(stack: Stack) -> tuple[Attacker, Victim]:
    """The two organizations."""
    async with parties(stack) as (attacker, victim, _):
        return attacker, victim


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stall", description=__doc__)
    parser.add_argument("--only", default="", help="routes and shapes with this in their names")
    parser.add_argument("--minutes", type=float, default=9.0, help="for the routes, at most")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stall-") as name:
        Path(name).chmod(0o711)  # PostgreSQL's account passes through
        with running_stack(Path(name)) as stack:
            attacker, victim = asyncio.run(prepared(stack))
            rows, idle = over_http(attacker, victim, options.only, options.minutes * 60)
            rows += over_grpc(stack, attacker, victim, options.only)
            together = crowd(stack, attacker, victim)
            fault = '"event":"fault"' in stack.log("gateway")
    good = report(rows, together, idle, FILE)
    if fault:
        print("The gateway logged a fault: something raised what is no refusal.")
    return 0 if good and not fault else 1


if __name__ == "__main__":
    sys.exit(main())
