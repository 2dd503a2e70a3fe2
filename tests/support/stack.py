"""The complete system as `make run` starts it, for end-to-end tests."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from chassis.batching.limits import LOG_LINGER_SECONDS
from deploy.local.client_settings import read_client_settings
from deploy.local.ports import free_port
from deploy.local.processes.child import listening_port
from deploy.local.region import HOST, REGIONS, TENANT_PATH, RegionPaths
from tests.support.processes import stop
from tests.support.waiting import wait_until, wait_until_quiet

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
QUIET_SECONDS = 5 * LOG_LINGER_SECONDS


@dataclass(frozen=True, slots=True)
class Stack:
    """A running region: its Tenant URL, token and files."""

    url: str
    token: str
    paths: RegionPaths
    supervisor: subprocess.Popen[bytes]

    @property
    def base_url(self) -> str:
        """The URL of the portal."""
        return self.url.removesuffix(TENANT_PATH)

    def log(self, name: str) -> str:
        """The complete log of a process, including lines that are still buffered."""
        file = self.paths.log(name)
        wait_until_quiet(lambda: file.stat().st_size, QUIET_SECONDS)
        return file.read_text()

    def service_port(self, name: str) -> int:
        """The port that a service logged last: it changes with each restart."""
        ports = [listening_port(line.encode()) for line in self.log(name).splitlines()]
        return [port for port in ports if port is not None][-1]

    def database_url(self, database: str) -> str:
        """The URL of the database `users` or `keys` for its owner.

        It is built from files, because no process reveals its settings.
        """
        role = {"users": "usersvc", "keys": "keysvc"}[database]
        password = quote(self.paths.password(role).read_text().strip(), safe="")
        output = self.paths.directory.joinpath(f"{self.paths.region.name}.out").read_text()
        port = re.findall(rf"PostgreSQL +{HOST}:(\d+)", output)[-1]
        return f"postgresql://{role}:{password}@{HOST}:{port}/{database}"

    def pid(self, word: str) -> int:
        """The id of the child whose command line contains the word: `usersvc`, `postgres`, …"""
        own = Path(f"/proc/{self.supervisor.pid}")
        children = (own / "task" / own.name / "children").read_text().split()
        found = [pid for pid in children if word in Path(f"/proc/{pid}/cmdline").read_text()]
        assert len(found) == 1, found
        return int(found[0])


@contextmanager
def running_stack(
    directory: Path, region: str = "us", settings: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Start a region on free ports with its data below `directory`; stop it at the end.

    `settings` are environment variables for its processes, unless the region sets them itself.
    """
    paths = RegionPaths(directory, REGIONS[region])
    output = directory / f"{region}.out"
    command = [sys.executable, "-m", "deploy.local", "run", "--region", region]
    command += ["--port", str(free_port()), "--directory", str(directory)]
    with output.open("wb") as file:
        supervisor = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(settings or {}), "PYTHONPATH": f"{ROOT}:{ROOT / 'build'}"},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_running(supervisor, output)
        connection = read_client_settings(paths.client_settings)
        assert connection is not None
        yield Stack(connection.tenant_url, connection.secret_token, paths, supervisor)
    finally:
        stop(supervisor)


def _wait_until_running(supervisor: subprocess.Popen[bytes], output: Path) -> None:
    def is_running() -> bool:
        assert supervisor.poll() is None, output.read_text()
        return "is running" in output.read_text()

    wait_until(is_running, START_SECONDS, output.read_text)
