"""Additional gateways for a running region, each with its own settings."""

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from deploy.local.region import TENANT_PATH
from tests.support.scim import Client
from tests.support.stack import ROOT, Stack


@dataclass
class Gateway:
    """A running gateway, its addresses and its log entries."""

    process: subprocess.Popen[str]
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        return self._address("listening", "address")

    @property
    def metrics_url(self) -> str:
        return "http://{}:{}/metrics".format(*self._address("admin listening", "address"))

    @property
    def base_url(self) -> str:
        return "http://{}:{}".format(*self.address)

    @property
    def url(self) -> str:
        return self.base_url + TENANT_PATH

    def client(self, session: Any, token: str) -> Client:
        """A client that sends requests to this gateway with an organization's key."""
        return Client(session, self.url, token)

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """The log entries with an event."""
        return [line for line in list(self.log) if line["event"] == event]

    def _address(self, event: str, name: str) -> tuple[str, int]:
        host, _, port = self.log_lines(event)[0][name].rpartition(":")
        return host, int(port)


@contextmanager
def running_gateway(stack: Stack, **settings: object) -> Iterator[Gateway]:
    """Start a gateway with default settings, changed by keyword: `max_requests=4`."""
    variables = {f"GATEWAY_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway"],
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}",
            "GATEWAY_LISTEN": "127.0.0.1:0",
            "GATEWAY_ADMIN_LISTEN": "127.0.0.1:0",
            "GATEWAY_REGION": "us",
            "GATEWAY_USERSVC": f"127.0.0.1:{stack.service_port('usersvc')}",
            "GATEWAY_KEYSVC": f"127.0.0.1:{stack.service_port('keysvc')}",
            "GATEWAY_CURSOR_SECRET": secrets.token_hex(32),
            "GATEWAY_ADDRESS_CONNECTIONS": "2000",  # all test clients have the same address
            **variables,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    gateway = Gateway(process)
    reader = threading.Thread(target=_read, args=(gateway,), daemon=True)
    while {"listening", "admin listening", "key watch"} - {line["event"] for line in gateway.log}:
        assert process.stdout is not None
        gateway.log.append(json.loads(process.stdout.readline()))
    reader.start()
    try:
        yield gateway
    finally:
        process.terminate()
        process.wait(30)
        reader.join(10)


def _read(gateway: Gateway) -> None:
    assert gateway.process.stdout is not None
    for line in gateway.process.stdout:
        gateway.log.append(json.loads(line))
