"""The three programs as real processes, each with its own settings and clock."""

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.processes import stop
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0


@dataclass
class ServiceProcess:
    """A process and its output so far."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log entries with an event."""
        entries = [json.loads(line) for line in list(self.lines) if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == event]

    def wait_for(self, event: str, **fields: object) -> dict[str, Any]:
        """The first log entry with an event and the given fields."""

        def found() -> list[dict[str, Any]]:
            entries = [each for each in self.logged(event) if fields.items() <= each.items()]
            assert entries or self.process.poll() is None, self.output
            return entries

        return wait_until(found, SECONDS, lambda: self.output)[0]

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def address(self) -> str:
        return str(self.wait_for("listening")["address"])

    def get(self, path: str, headers: Mapping[str, str] | None = None, *, admin: bool = False):
        """The status, the headers and the text of a response."""
        event = "admin listening" if admin else "listening"
        url = f"http://{self.wait_for(event)['address']}{path}"
        request = urllib.request.Request(url, headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.headers, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    def status(self, path: str, *, admin: bool = False) -> int:
        status: int = self.get(path, admin=admin)[0]
        return status

    def exit_code(self) -> int:
        """The exit code, once the process has ended and its output is read."""
        code = self.process.wait(SECONDS)
        wait_until(lambda: self.lines and self.lines[-1] == "", SECONDS)
        return code


@contextmanager
def running(
    name: str, settings: Mapping[str, str], *arguments: str, clock: Path | None = None
) -> Iterator[ServiceProcess]:
    """Run `python -m NAME`. `clock` is a file with the seconds by which its clock is ahead."""
    module = [name] if clock is None else ["tools.chaos.shifted_clock", str(clock), name]
    process = subprocess.Popen(
        [sys.executable, "-m", *module, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}",
            "PYTHONUNBUFFERED": "1",
            "GRPC_VERBOSITY": "ERROR",
            f"{name.upper()}_LISTEN": "127.0.0.1:0",
            f"{name.upper()}_ADMIN_LISTEN": "127.0.0.1:0",
            **settings,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running_process = ServiceProcess(process)
    thread = threading.Thread(target=_read, args=(running_process,), daemon=True)
    thread.start()
    try:
        yield running_process
    finally:
        if process.poll() is None:
            stop(process)
        thread.join(SECONDS)


def _read(running_process: ServiceProcess) -> None:
    assert running_process.process.stdout is not None
    for line in running_process.process.stdout:
        running_process.lines.append(line)
    running_process.lines.append("")  # the end


def service_settings(name: str, url: str, region: str = "us") -> dict[str, str]:
    """The settings of usersvc or keysvc."""
    return {f"{name.upper()}_DATABASE_URL": url, f"{name.upper()}_REGION": region}


def gateway_settings(
    usersvc: str, keysvc: str, region: str = "us", **others: str
) -> dict[str, str]:
    """The settings of a gateway; `others` without the prefix, in lower case."""
    return {
        "GATEWAY_USERSVC": usersvc,
        "GATEWAY_KEYSVC": keysvc,
        "GATEWAY_REGION": region,
        "GATEWAY_CURSOR_SECRET": bytes(range(32)).hex(),
        **{f"GATEWAY_{key.upper()}": value for key, value in others.items()},
    }


def tls_settings(name: str, files: Any) -> dict[str, str]:
    """The settings for a certificate of `tests.support.chassis.authorities`."""
    return {
        f"{name.upper()}_TLS_CERTIFICATE": str(files.certificate),
        f"{name.upper()}_TLS_KEY": str(files.key),
        f"{name.upper()}_TLS_AUTHORITY": str(files.authority),
    }
