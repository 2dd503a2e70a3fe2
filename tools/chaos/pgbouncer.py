"""A PgBouncer with the parameters of the manifests, in front of a PostgreSQL on this machine."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from deploy.local.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "nobody"
"""PgBouncer refuses to run as root."""
STOP_SECONDS = 10.0
PREPARED_STATEMENTS = (1, 21)
"""The first version that supports prepared statements in transaction mode."""


def is_installed() -> bool:
    return shutil.which("pgbouncer") is not None


def manifest_parameters(service: str) -> dict[str, str]:
    """The parameters of a service's pooler in deploy/k8s."""
    manifest = (ROOT / f"deploy/k8s/base/{service}/pooler.yaml").read_text()
    section = manifest.partition("    parameters:\n")[2]
    return dict(re.findall(r'^ {6}(\w+): "(.*)"$', section, re.MULTILINE))


@contextmanager
def running_pgbouncer(
    folder: Path, urls: Sequence[str], parameters: Mapping[str, str]
) -> Iterator[list[str]]:
    """Run a PgBouncer for databases until the end of the block; yields their URLs through it."""
    with running_pooler(folder, urls, parameters) as pooler:
        yield pooler.urls


@dataclass
class Pooler:
    """A running PgBouncer, and the URLs of the databases through it."""

    urls: list[str]
    command: Sequence[str]
    log: Path
    process: "subprocess.Popen[bytes]"

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it, which breaks the connections of all clients."""
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """Start it at the same address, after it was killed."""
        self.process = _start(self.command, self.log)

    def stop(self) -> None:
        """Stop it, also if it does not respond."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def running_pooler(
    folder: Path, urls: Sequence[str], parameters: Mapping[str, str]
) -> Iterator[Pooler]:
    """Run a PgBouncer for databases until the end of the block."""
    folder.mkdir()
    folder.chmod(0o711)
    port = free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(_configuration(folder, port, urls, parameters))
    _user_list(folder).write_text("".join(f'"{user}" "{key}"\n' for user, key in _logins(urls)))
    if os.geteuid() == 0:
        for file in (configuration, _user_list(folder)):
            shutil.chown(file, ACCOUNT)
    as_account = ("-u", ACCOUNT) if os.geteuid() == 0 else ()
    command = ["pgbouncer", *as_account, str(configuration)]
    log = folder / "log"
    pooler = Pooler([_through(url, port) for url in urls], command, log, _start(command, log))
    try:
        yield pooler
    finally:
        pooler.stop()


def _start(command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file)


def _configuration(
    folder: Path, port: int, urls: Sequence[str], parameters: Mapping[str, str]
) -> str:
    supports_names = _version() >= PREPARED_STATEMENTS
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": str(_user_list(folder)),
        # asyncpg prepares statements by name.
        "pool_mode": "transaction" if supports_names else "session",
        **parameters,
    }
    if not supports_names:
        settings.pop("max_prepared_statements", None)
    databases = (
        f"{parts.path[1:]} = host={parts.hostname} port={parts.port} dbname={parts.path[1:]}"
        for parts in map(urlsplit, urls)
    )
    lines = (f"{name} = {value}" for name, value in settings.items())
    return "\n".join(("[databases]", *databases, "[pgbouncer]", *lines, ""))


def _user_list(folder: Path) -> Path:
    return folder / "users.txt"


def _logins(urls: Sequence[str]) -> Iterator[tuple[str, str]]:
    for parts in map(urlsplit, urls):
        yield unquote(parts.username or ""), unquote(parts.password or "")


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))


def _version() -> tuple[int, ...]:
    output = subprocess.run(["pgbouncer", "--version"], capture_output=True, text=True, check=True)
    match = re.search(r"(\d+)\.(\d+)", output.stdout)
    assert match is not None, output.stdout
    return tuple(map(int, match.groups()))
