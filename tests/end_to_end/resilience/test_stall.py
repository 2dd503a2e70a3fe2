"""A short version of `make stall`: its prober measures how long the gateway does not respond."""

import os
import signal
from collections import Counter

import pytest

from gateway.api.app import PREFIX
from tests.support.stack import Stack
from tests.support.waiting import pause, wait_until
from tools.stall.inputs.attack import RawRequest
from tools.stall.measure import Trial, of_trial, send
from tools.stall.parties import Victim, victim
from tools.stall.prober import Prober, probing

STOPPED_SECONDS = 0.3


@pytest.fixture
async def other(tenant: Stack) -> Victim:
    """The organization whose requests must not be delayed."""
    return await victim(tenant)


def ready(prober: Prober) -> Prober:
    """Wait for twenty correct responses, then let the prober measure the idle latency."""
    responses = Counter[str]()

    def has_twenty() -> bool:
        responses["correct"] += sum(wait.correct for wait in prober.collect())
        return responses["correct"] >= 20

    wait_until(has_twenty)
    prober.measure_idle(0.2)
    return prober


def test_stopped_gateway_is_measured_as_stall(tenant: Stack, other: Victim):
    pid = tenant.pid("gateway")

    def stop() -> str:
        os.kill(pid, signal.SIGSTOP)
        pause(STOPPED_SECONDS)  # the stall that the prober must see
        os.kill(pid, signal.SIGCONT)
        return "stopped"

    with probing(other.probe) as prober:
        row = of_trial(ready(prober), Trial("gateway", "stopped", stop, tail=0.1))

    assert row.seconds > STOPPED_SECONDS / 2
    assert not row.is_good
    assert row.lost == 0
    assert row.status == "stopped"


def test_cheap_request_loses_no_probe(tenant: Stack, other: Victim):
    address = (other.probe.host, other.probe.port)
    raw = RawRequest("GET", f"{PREFIX}/ServiceProviderConfig").raw(f"{address[0]}:{address[1]}")

    with probing(other.probe) as prober:
        row = of_trial(ready(prober), Trial("gateway", "cheap", lambda: send(address, raw)))

    assert (row.status, row.lost) == ("200", 0)


def test_prober_reports_refused_requests(other: Victim):
    stranger = type(other.probe)(other.probe.host, other.probe.port, other.probe.path, "none")
    with probing(stranger) as prober:
        waits = wait_until(prober.collect)
    assert not any(wait.correct for wait in waits)
