"""Wrong clocks: the only wrong replica leaves service, and a wrong database clock removes none."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.local.region import TENANT_PATH
from tests.support.keysvc.process import token_of_new_organization
from tests.support.service_processes import (
    ServiceProcess,
    gateway_settings,
    running,
    service_settings,
)
from tests.support.waiting import wait_until

HOUR = 3_600.0


class Replicas:
    """Processes of one region, each with a clock that the test shifts."""

    def __init__(self, folder: Path, stack: ExitStack, urls: dict[str, str]) -> None:
        self._folder = folder
        self._stack = stack
        self._urls = urls

    def clock(self, name: str, seconds: float = 0.0) -> Path:
        """The file with the offset of a replica's clock."""
        file = self._folder / name
        partial = self._folder / f"{name}.new"
        partial.write_text(str(seconds))
        partial.replace(file)
        return file

    def service(self, name: str, replica: str, seconds: float = 0.0) -> ServiceProcess:
        settings = service_settings(name, self._urls[name])
        process = self._stack.enter_context(
            running(name, settings, "serve", clock=self.clock(replica, seconds))
        )
        process.wait_for("listening")
        return process

    def gateway(
        self, usersvc: str, keysvc: str, replica: str, seconds: float = 0.0
    ) -> ServiceProcess:
        process = self._stack.enter_context(
            running(
                "gateway",
                gateway_settings(usersvc, keysvc),
                clock=self.clock(replica, seconds),
            )
        )
        process.wait_for("listening")
        return process


@pytest.fixture
def replicas(tmp_path: Path, users_url: str, keys_url: str) -> Iterator[Replicas]:
    with ExitStack() as stack:
        yield Replicas(tmp_path, stack, {"usersvc": users_url, "keysvc": keys_url})


def offset(process: ServiceProcess, peer: str) -> float | None:
    """The published offset of a process's clock in seconds."""
    _, _, text = process.get("/metrics", admin=True)
    found = re.search(rf'^clock_offset_seconds{{peer="{peer}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else None


def ready(process: ServiceProcess) -> bool:
    is_gateway = "gateway" in process.process.args
    return process.status("/readyz", admin=not is_gateway) == 200


@pytest.mark.parametrize("service", ["usersvc", "keysvc"])
@pytest.mark.parametrize("seconds", [HOUR, -30.0])
def test_replica_with_a_wrong_clock_leaves_service_until_it_is_right(
    replicas: Replicas, service: str, seconds: float
):
    right, wrong = replicas.service(service, "right"), replicas.service(service, "wrong")
    wait_until(lambda: ready(right) and ready(wrong))

    replicas.clock("wrong", seconds)
    entry = wrong.wait_for("clock compared", agrees=False, in_service=False)
    wait_until(lambda: not ready(wrong))
    during = ready(right), offset(right, "database"), offset(wrong, "database")
    replicas.clock("wrong")
    wait_until(lambda: ready(wrong))

    assert entry["level"] == "warning"
    assert entry["offset_seconds"] == pytest.approx(seconds, abs=0.5)
    assert during[0]
    assert during[1:] == (pytest.approx(0.0, abs=0.5), pytest.approx(seconds, abs=0.5))
    assert wrong.logged("clock compared")[-1]["agrees"]


def test_replica_that_starts_with_a_wrong_clock_never_becomes_ready(replicas: Replicas):
    replicas.service("usersvc", "right")
    wrong = replicas.service("usersvc", "wrong", HOUR)
    wrong.wait_for("health")
    assert [each["ready"] for each in wrong.logged("health")] == [False]


def test_wrong_clock_of_the_database_takes_no_replica_out_of_service(replicas: Replicas):
    """Both replicas are an hour ahead: to them, the clock of the database is an hour behind."""
    both = [replicas.service("usersvc", name, HOUR) for name in ("first", "second")]
    for each in both:
        each.wait_for("clock compared", agrees=False, in_service=True)
        each.wait_for("health", ready=True)
    for each in both:  # also after each has read the other's offset
        count = len(each.logged("clock compared"))
        wait_until(lambda each=each: (offset(each, "database") or 0.0) > HOUR / 2)
        assert ready(each)
        assert len(each.logged("clock compared")) == count


def test_single_replica_with_a_wrong_clock_reports_it_and_stays(replicas: Replicas):
    only = replicas.service("keysvc", "only", HOUR)
    only.wait_for("clock compared", agrees=False, in_service=True)
    assert ready(only)


def test_gateway_uses_only_the_replica_with_the_right_clock(replicas: Replicas, keys_url: str):
    right, wrong = (replicas.service("usersvc", name) for name in ("right", "wrong"))
    keysvc = replicas.service("keysvc", "keysvc")
    gateway = replicas.gateway(f"ipv4:{right.address},{wrong.address}", keysvc.address, "gateway")
    wait_until(lambda: ready(gateway))
    headers = {"Authorization": f"Bearer {token_of_new_organization(keys_url)}"}
    replicas.clock("wrong", HOUR)
    wait_until(lambda: not ready(wrong))

    # A connection of its own to each replica: after the change, all calls go to one of them.
    statuses = [gateway.get(f"{TENANT_PATH}/Users", headers)[0] for _ in range(30)]

    assert statuses[10:] == [200] * 20
    assert len(right.logged("call")) >= 20


def test_gateway_with_a_wrong_clock_leaves_service_if_another_agrees(replicas: Replicas):
    usersvc, keysvc = (replicas.service(name, name) for name in ("usersvc", "keysvc"))
    right, wrong = (replicas.gateway(usersvc.address, keysvc.address, name) for name in ("a", "b"))
    wait_until(lambda: ready(right) and ready(wrong))

    replicas.clock("b", 60.0)
    entry = wrong.wait_for("clock compared", peer="usersvc", agrees=False)
    wait_until(lambda: not ready(wrong))
    during = ready(right), offset(wrong, "usersvc"), offset(wrong, "keysvc")
    unaffected = wrong.status("/healthz"), wrong.status("/login")
    replicas.clock("b")
    wait_until(lambda: ready(wrong))

    assert entry["offset_seconds"] == pytest.approx(60.0, abs=0.5)
    assert during == (True, pytest.approx(60.0, abs=0.5), pytest.approx(60.0, abs=0.5))
    assert unaffected == (200, 200)
    assert not right.logged("clock compared")


def test_only_gateway_with_a_wrong_clock_reports_it_and_stays(replicas: Replicas):
    usersvc, keysvc = (replicas.service(name, name) for name in ("usersvc", "keysvc"))
    gateway = replicas.gateway(usersvc.address, keysvc.address, "gateway", 60.0)
    for peer in ("usersvc", "keysvc"):
        gateway.wait_for("clock compared", peer=peer, agrees=False)
    assert ready(gateway)


def test_gateway_stays_if_only_one_service_has_another_time(replicas: Replicas):
    usersvc = replicas.service("usersvc", "usersvc")
    keysvc = replicas.service("keysvc", "keysvc", 60.0)
    others = [replicas.gateway(usersvc.address, keysvc.address, name) for name in ("a", "b")]
    for gateway in others:
        gateway.wait_for("clock compared", peer="keysvc", agrees=False)
        assert ready(gateway)


def test_gateways_with_different_cursor_secrets_are_reported(
    replicas: Replicas,
):
    usersvc, keysvc = (replicas.service(name, name) for name in ("usersvc", "keysvc"))
    first = replicas.gateway(usersvc.address, keysvc.address, "first")
    same = replicas.gateway(usersvc.address, keysvc.address, "same")
    wait_until(lambda: ready(first) and ready(same))
    secret = bytes(range(1, 33)).hex()
    settings = gateway_settings(usersvc.address, keysvc.address, cursor_secret=secret)
    before = first.logged("shared settings differ")
    with running("gateway", settings) as other:
        other.wait_for("shared settings differ")
        first.wait_for("shared settings differ")
        digests = [
            re.findall(
                r"^shared_settings_info\{(.*)\} 1\.0$",
                each.get("/metrics", admin=True)[2],
                re.MULTILINE,
            )
            for each in (first, same, other)
        ]

    assert not before
    assert digests[0] == digests[1] != digests[2]
    for process in (first, other):
        assert secret not in process.output
