"""Processes with few file descriptors: they raise their limit, or report and answer all clients."""

import json
import os
import resource
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from chassis.process import OTHER_DESCRIPTORS
from chassis.rpc.server import MAX_CONNECTIONS
from tests.support.stack import ROOT

FEW = 128
CLIENTS = 300
REQUEST = b"GET /unknown HTTP/1.1\r\nHost: gateway\r\n\r\n"
NO_DATABASE = "postgresql://nobody:nothing@127.0.0.1:1/none"
SETTINGS = {
    "gateway": {
        "GATEWAY_REGION": "us",
        "GATEWAY_CURSOR_SECRET": secrets.token_hex(32),
        "GATEWAY_ADDRESS_CONNECTIONS": "2000",
    },
    "usersvc": {"USERSVC_DATABASE_URL": NO_DATABASE, "USERSVC_REGION": "us"},
    "keysvc": {"KEYSVC_DATABASE_URL": NO_DATABASE, "KEYSVC_REGION": "us"},
}


@dataclass
class Running:
    """A running process and the entries of its log until it listened."""

    process: "subprocess.Popen[bytes]"
    log: list[dict[str, Any]]

    def next_entry(self, event: str) -> dict[str, Any]:
        """Read the log up to an event; returns its entry."""
        assert self.process.stdout is not None
        while not self.log or self.log[-1]["event"] != event:
            self.log.append(json.loads(self.process.stdout.readline()))
        return self.log[-1]

    def connect(self) -> socket.socket:
        host, _, port = self.next_entry("listening")["address"].rpartition(":")
        return socket.create_connection((host, int(port)), timeout=20)

    def limits(self) -> tuple[int, int]:
        return resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE)


@contextmanager
def running(name: str, hard_limit: int, inherited: Sequence[int] = ()) -> Iterator[Running]:
    """Start a process with FEW descriptors, of which it inherits some."""
    limits = f"{FEW}:{hard_limit}"
    command = [sys.executable, "-m", name, *(() if name == "gateway" else ("serve",))]
    process = subprocess.Popen(
        ["prlimit", f"--nofile={limits}", *command],
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}",
            f"{name.upper()}_LISTEN": "127.0.0.1:0",
            **SETTINGS[name],
        },
        stdout=subprocess.PIPE,
        pass_fds=inherited,
    )
    try:
        yield Running(process, [])
    finally:
        process.kill()
        process.communicate()


def status(connection: socket.socket) -> bytes:
    """Send a request and return the first line of the response, or nothing if there is none."""
    try:
        connection.sendall(REQUEST)
        return connection.recv(4096).partition(b"\r\n")[0]
    except ConnectionError:
        return b""


@pytest.mark.parametrize("name", SETTINGS)
def test_process_raises_its_limit_of_open_files_as_needed(name: str):
    with running(name, 10_000) as process:
        process.next_entry("listening")
        assert process.limits() == (MAX_CONNECTIONS + OTHER_DESCRIPTORS, 10_000)
        assert "connections limited" not in {entry["event"] for entry in process.log}


@pytest.mark.parametrize("name", SETTINGS)
def test_process_with_a_low_hard_limit_accepts_and_reports_fewer_connections(name: str):
    with running(name, FEW) as process:
        entry = process.next_entry("connections limited")
    assert (entry["allowed"], entry["wanted"]) == (FEW // 2, MAX_CONNECTIONS)


def test_gateway_with_a_low_soft_limit_keeps_all_connections():
    with running("gateway", 10_000) as gateway, ExitStack() as stack:
        clients = [stack.enter_context(gateway.connect()) for _ in range(CLIENTS)]
        assert {status(client) for client in clients} == {b"HTTP/1.1 404 Not Found"}


def test_gateway_with_a_low_hard_limit_answers_every_client():
    with running("gateway", FEW) as gateway, ExitStack() as stack:
        statuses = [status(stack.enter_context(gateway.connect())) for _ in range(CLIENTS)]
    assert set(statuses) == {b"HTTP/1.1 404 Not Found"}


def test_gateway_reports_scarce_descriptors_and_answers_every_client():
    """Something else uses the descriptors that the limit of connections leaves."""
    with ExitStack() as stack:
        leaked = [os.open(os.devnull, os.O_RDONLY) for _ in range(FEW // 2)]
        for descriptor in leaked:
            stack.callback(os.close, descriptor)
        gateway = stack.enter_context(running("gateway", FEW, leaked))
        statuses = [status(stack.enter_context(gateway.connect())) for _ in range(CLIENTS)]
        count = gateway.next_entry("too few descriptors")["count"]
    assert set(statuses) == {b"HTTP/1.1 404 Not Found"}
    assert 0 < count < CLIENTS
