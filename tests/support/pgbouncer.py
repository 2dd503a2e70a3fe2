"""PgBouncer in front of a test's PostgreSQL."""

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import pytest

from deploy.local.ports import free_port
from deploy.local.region import HOST
from deploy.local.setup.account import choose_account
from tests.support.waiting import wait_until

_WITH_PREPARED_STATEMENTS: Final = (1, 21)
"""From this version on, prepared statements work in transaction mode."""


@contextmanager
def running_pgbouncer(url: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer; yields the URL of the same database through it. Skips without PgBouncer.

    Old versions run in session mode, because asyncpg needs prepared statements.
    """
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    target, port = urlsplit(url), free_port()
    folder.mkdir()
    folder.chmod(0o755)
    users, settings, log = folder / "users", folder / "pgbouncer.ini", folder / "log"
    users.write_text(f'"{target.username}" "{target.password}"\n')
    settings.write_text(
        "[databases]\n"
        f"* = host={target.hostname} port={target.port}\n"
        "[pgbouncer]\n"
        f"listen_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {users}\n"
        f"{_mode(program)}"
    )
    account = choose_account(folder / "none", (Path(program), settings, users))
    with log.open("wb") as output:
        bouncer = subprocess.Popen(
            account.command([program, str(settings)], signal.SIGTERM),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: _listens(bouncer, port, log), what=log.read_text)
        credentials = target.netloc.rpartition("@")[0]
        yield urlunsplit(target._replace(netloc=f"{credentials}@{HOST}:{port}"))
    finally:
        bouncer.kill()
        bouncer.wait()


def _mode(program: str) -> str:
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    major, minor = map(int, re.findall(r"\d+", version.stdout)[:2])
    if (major, minor) < _WITH_PREPARED_STATEMENTS:
        return "pool_mode = session\n"
    return "pool_mode = transaction\nmax_prepared_statements = 200\n"


def _listens(bouncer: "subprocess.Popen[bytes]", port: int, log: Path) -> bool:
    assert bouncer.poll() is None, log.read_text()
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
