"""Starts supervisors of a local region and inspects their processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import psutil

from deploy.local.client_settings import ClientSettings, read_client_settings
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[3]
STAND_INS = Path(__file__).parent / "stand_ins"
SECONDS = 60.0


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def environment(**variables: str) -> dict[str, str]:
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "build")])
    return {**os.environ, "PYTHONPATH": paths, **variables}


class RunningSupervisor:
    """A supervisor with stand-in programs, started from the command line."""

    def __init__(self, directory: Path, *options: str, settings: Mapping[str, str] = {}) -> None:
        self.directory = directory
        self.region = "eu" if "eu" in options else "us"
        self.output = directory.parent / f"{directory.name}-{time.monotonic_ns()}.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, str(STAND_INS / "run.py")),
                    *("run", "--directory", str(directory), *options),
                ],
                env=environment(**settings),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        return self.output.read_text()

    def ready(self) -> "RunningSupervisor":
        """Wait until the panel is printed; returns self."""
        wait_until(
            lambda: "Ctrl-C stops" in self.printed or self.process.poll() is not None,
            what="the panel",
        )
        assert self.process.poll() is None, self.printed
        return self

    @property
    def connection(self) -> ClientSettings:
        connection = read_client_settings(self.directory / f"{self.region}.env")
        assert connection is not None
        return connection

    @property
    def link(self) -> str | None:
        """The sign-in link in the panel."""
        found = re.search(r"http://\S+/login/link#\S+", self.printed)
        return None if found is None else found[0]

    def gateway(self) -> dict[str, str]:
        """The settings that the stand-in gateway reports."""
        with urllib.request.urlopen(self.connection.tenant_url, timeout=5) as answer:
            return json.load(answer)

    def child(self, module: str) -> psutil.Process:
        """The descendant that runs a module."""
        return next(child for child in descendants(self.process.pid) if module in child.cmdline())

    def postgres(self) -> psutil.Process:
        return next(
            child
            for child in psutil.Process(self.process.pid).children()
            if child.cmdline() and child.cmdline()[0].endswith("/postgres")
        )

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its children get a parent-death signal
            raise

    def ended(self) -> int:
        return self.process.wait(SECONDS)
