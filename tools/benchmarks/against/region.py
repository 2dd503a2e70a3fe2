"""Starts a region of one of the trees as `make run` does.

The other tree may have another layout, so this module uses only interfaces for users: the command
line of `deploy.local run`, the file with the Tenant URL and the token, and the HTTP API.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.ports import free_port
from deploy.local.processes.parent_death_signal import with_parent_death_signal
from tools.benchmarks.against.checkout import Tree
from tools.benchmarks.against.cpu import RegionProcesses
from tools.benchmarks.client import Bound, drive, request
from tools.processes import stop

REGION = "us"
START_SECONDS = 120.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1


class RegionError(Exception):
    """A region did not start; the text has the end of its output."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a region's SCIM API, and a token for it."""

    host: str
    port: int
    path: str
    token: str

    @property
    def netloc(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RunningRegion:
    """A region whose gateway has answered."""

    address: Address
    processes: RegionProcesses


@asynccontextmanager
async def running(
    tree: Tree, directory: Path, environment: Mapping[str, str]
) -> AsyncIterator[RunningRegion]:
    """Start a region with its data in `directory`, and stop it at the end.

    The data stays for the next start. Raises RegionError if the region ends or does not answer in
    time.
    """
    port = free_port()
    output = directory / "supervisor.out"
    supervisor = _start(tree, directory, port, environment, output)
    try:
        address = await _wait_for_answer(supervisor, directory / f"{REGION}.env", port, output)
        yield RunningRegion(address, RegionProcesses(supervisor.pid))
    finally:
        # If it must be killed, its children get a parent-death signal.
        await asyncio.to_thread(stop, supervisor, STOP_SECONDS)


def _start(
    tree: Tree, directory: Path, port: int, environment: Mapping[str, str], output: Path
) -> "subprocess.Popen[bytes]":
    command = [str(tree.python), "-m", "deploy.local", "run", "--region", REGION]
    command += ["--port", str(port), "--directory", str(directory)]
    paths = f"{tree.folder}:{tree.folder / 'build'}"
    with output.open("wb") as file:
        return subprocess.Popen(
            # The region must end when this process ends for any reason.
            with_parent_death_signal(command, signal.SIGTERM),
            cwd=tree.folder,
            env={**os.environ, **environment, "PYTHONPATH": paths},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


async def _wait_for_answer(
    supervisor: "subprocess.Popen[bytes]", file: Path, port: int, output: Path
) -> Address:
    """Wait until the gateway answers 200 at the address in the region's file."""
    deadline = time.monotonic() + START_SECONDS
    while supervisor.poll() is None and time.monotonic() < deadline:
        address = read_address(file)
        if address is not None and address.port == port and await _answers(address):
            return address
        await asyncio.sleep(POLL_SECONDS)
    raise RegionError(f"The region in {file.parent} does not answer. It printed:\n{_tail(output)}")


def _tail(output: Path) -> str:
    return output.read_text(errors="replace")[-2_000:]


def read_address(file: Path) -> Address | None:
    """Read TENANT_URL and SECRET_TOKEN of a region; None while one of them is missing."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return None
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    url, token = urlsplit(values.get("TENANT_URL", "")), values.get("SECRET_TOKEN", "")
    if not (url.hostname and url.port and token):
        return None
    return Address(url.hostname, url.port, url.path, token)


async def _answers(address: Address) -> bool:
    path = f"{address.path}/Users?count=1"
    item = (request("GET", path, address.netloc, address.token), lambda status, _: status == 200)
    try:
        sample = await drive((address.host, address.port), 1, iter([item]), Bound(1, 10))
    except OSError:
        return False
    return sample.wrong == 0
