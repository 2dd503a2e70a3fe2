"""The launcher of PostgreSQL against the real server."""

import os
import secrets
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from deploy.local.postgres import NOT_DURABLE, Cluster, PostgresError
from deploy.local.setup.account import choose_account
from tests.support.local.running import descendants, environment, is_alive
from tests.support.postgres import Template, TestPostgres
from tests.support.waiting import wait_until

DAC_OVERRIDE = 1 << 1


@pytest.fixture
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster that is not started."""
    cluster = Cluster(folder / "postgres", settings=NOT_DURABLE)
    yield cluster
    cluster.stop()


@pytest.fixture
def template(postgres_cluster: TestPostgres) -> Template:
    """A database with one table, created by its owner."""

    def migrate(url: str) -> None:
        psql(postgres_cluster.cluster, url, "CREATE TABLE note (body text);")

    return postgres_cluster.template("notes", migrate)


def psql(cluster: Cluster, url: str, statement: str) -> str:
    """The result of a statement, run as the role in the URL; an error fails the test."""
    program = cluster.programs.path("psql")
    command = [program, "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement, url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


# --- data and accounts ---------------------------------------------------------------------------


async def test_every_connection_requires_password(cluster: Cluster) -> None:
    cluster.start()
    url = cluster.create_role_and_database("notes", "writer", "right")

    assert cluster.query("SELECT DISTINCT auth_method FROM pg_hba_file_rules;") == "scram-sha-256"
    stored = cluster.query(
        "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'writer';"
    )
    assert stored == "t"
    assert await query(url, "SELECT current_user") == "writer"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url.replace("right", "wrong"))


def test_data_has_checksums_and_builtin_locale(cluster: Cluster) -> None:
    cluster.start()

    assert cluster.query("SHOW data_checksums;") == "on"
    locale = "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database"
    assert cluster.query(f"{locale} WHERE datname = 'template1';") == "b|C.UTF-8|UTF8"


def test_superuser_password_is_private(cluster: Cluster) -> None:
    cluster.start()

    assert (cluster.folder / "superuser.password").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is given another account")
def test_root_runs_server_as_unprivileged_account(cluster: Cluster) -> None:
    cluster.start()

    assert psutil.Process(cluster.pid).uids().real not in {0, None}
    # The account keeps one capability if only root may enter the directory of the programs.
    programs = cluster.programs.folder
    is_open = all(folder.stat().st_mode & stat.S_IXOTH for folder in (programs, *programs.parents))
    assert capabilities(cluster.pid) == (0 if is_open else DAC_OVERRIDE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is given another account")
def test_root_can_run_server_below_private_directory() -> None:
    with tempfile.TemporaryDirectory(prefix="closed-") as closed:  # mode 0700
        cluster = Cluster(Path(closed) / "run" / "postgres", settings=NOT_DURABLE)
        try:
            cluster.start()
            assert psutil.Process(cluster.pid).uids().real != 0
            assert cluster.query("SHOW data_directory;") == str(cluster.data)
            assert capabilities(cluster.pid) == DAC_OVERRIDE
        finally:
            cluster.stop()


def capabilities(pid: int | None) -> int:
    """The effective capabilities of a process, as a bit set."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("CapEff:")[2].split()[0], 16)


def test_cluster_starts_in_folder_too_long_for_socket_path(folder: Path) -> None:
    cluster = Cluster(folder / ("long" * 30) / "postgres", settings=NOT_DURABLE)
    try:
        cluster.start()
        assert cluster.query("SELECT 1;") == "1"
    finally:
        cluster.stop()


# --- privileges -------------------------------------------------------------------


async def test_role_cannot_connect_to_database_of_another(cluster: Cluster) -> None:
    cluster.start()
    users = cluster.create_role_and_database("users", "usersvc", "one")
    keys = cluster.create_role_and_database("keys", "keysvc", "two")

    for url, foreign in ((users, "keys"), (keys, "users"), (keys, "postgres")):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(url.rpartition("/")[0] + "/" + foreign)
    assert await query(users, "SELECT current_database()") == "users"


def test_repeated_creation_of_role_removes_added_privileges(cluster: Cluster) -> None:
    cluster.start()
    cluster.create_role_and_database("users", "usersvc", "one")
    cluster.query("ALTER ROLE usersvc SUPERUSER CREATEDB;")

    cluster.create_role_and_database("users", "usersvc", "one")

    privileges = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    assert (
        cluster.query(f"SELECT {privileges} FROM pg_roles WHERE rolname = 'usersvc';")
        == "f|f|f|f|f"
    )


async def test_names_and_passwords_may_contain_any_character(cluster: Cluster) -> None:
    cluster.start()
    password = 'it\'s \\ "quoted" % / @ : ü'

    url = cluster.create_role_and_database("odd-name", "Odd'role", password)

    assert await query(url, "SELECT current_user") == "Odd'role"


# --- start and stop -----------------------------------------------------------------------


async def test_data_and_port_survive_restart(cluster: Cluster) -> None:
    cluster.start()
    url = cluster.create_role_and_database("notes", "writer", "pw")
    await query(url, "CREATE TABLE note AS SELECT 'kept' AS body")

    cluster.stop()
    cluster.start()

    assert await query(url, "SELECT body FROM note") == "kept"


async def test_second_launcher_finds_data_of_first(cluster: Cluster) -> None:
    cluster.start()
    cluster.query("CREATE TABLE note AS SELECT 'kept' AS body;")
    cluster.stop()

    second = Cluster(cluster.folder, settings=NOT_DURABLE)
    second.start()

    assert second.query("SELECT body FROM note;") == "kept"
    second.stop()


def test_stop_leaves_no_process(cluster: Cluster) -> None:
    cluster.start()
    server = psutil.Process(cluster.pid)
    processes = [server, *server.children(recursive=True)]
    assert len(processes) > 3

    cluster.stop()

    assert [p for p in processes if is_alive(p)] == []


def test_killed_parent_leaves_no_process(folder: Path) -> None:
    parent, processes = start_in_another_process(folder / "postgres")

    parent.kill()
    parent.wait()

    wait_until(lambda: not any(is_alive(p) for p in processes), seconds=5)


def test_start_waits_for_ending_server_of_killed_parent(folder: Path) -> None:
    parent, _ = start_in_another_process(folder / "postgres")
    parent.kill()
    parent.wait()

    cluster = Cluster(folder / "postgres", settings=NOT_DURABLE)
    cluster.start()

    assert cluster.query("SELECT 1;") == "1"
    cluster.stop()


def test_second_server_on_same_data_is_rejected(cluster: Cluster) -> None:
    cluster.start()

    with pytest.raises(PostgresError, match=f"process {cluster.pid}"):
        Cluster(cluster.folder, settings=NOT_DURABLE).start(wait_seconds=0)

    assert cluster.query("SELECT 1;") == "1"


def test_server_recovers_from_crash(cluster: Cluster) -> None:
    cluster.start()
    cluster.query("CREATE TABLE note AS SELECT 'kept' AS body;")
    server = psutil.Process(cluster.pid)
    processes = server.children(recursive=True)
    server.kill()
    wait_until(lambda: not cluster.running and not any(is_alive(p) for p in processes))

    cluster.start()

    assert cluster.query("SELECT body FROM note;") == "kept"


def test_stale_lock_file_of_other_process_is_ignored(
    cluster: Cluster,
) -> None:
    cluster.start()
    cluster.stop()
    account = choose_account(cluster.data, [])
    other = subprocess.Popen([*account.prefix, "sleep", "60"])
    lock = cluster.data / "postmaster.pid"
    lock.write_text(f"{other.pid}\n{cluster.data}\n1\n5432\n\n127.0.0.1\n\nstopped\n")
    account.own(lock)

    cluster.start()

    assert cluster.query("SELECT 1;") == "1"
    assert other.poll() is None
    other.kill()
    other.wait()


def test_port_of_other_server_is_avoided(cluster: Cluster) -> None:
    cluster.start()
    port = cluster.port
    cluster.stop()

    with socket.create_server(("127.0.0.1", port)):
        cluster.start()

    assert cluster.port != port
    assert cluster.query("SHOW data_directory;") == str(cluster.data)


def test_killed_initdb_leaves_no_data(folder: Path) -> None:
    parent = launch(folder / "postgres")
    wait_until(lambda: list((folder / "postgres").glob("data.new-*/data/base")), seconds=30)
    processes = descendants(parent.pid)
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(is_alive(p) for p in processes), seconds=5)
    assert not (folder / "postgres" / "data").exists()

    cluster = Cluster(folder / "postgres", settings=NOT_DURABLE)
    cluster.start()

    assert cluster.query("SELECT 1;") == "1"
    assert list(cluster.folder.glob("data.new-*")) == []
    cluster.stop()


def test_failed_start_reports_log_of_server(cluster: Cluster) -> None:
    misconfigured = Cluster(cluster.folder, settings={"work_mem": "plenty"})

    with pytest.raises(PostgresError, match="work_mem"):
        misconfigured.start()


def test_data_without_password_file_is_rejected(cluster: Cluster) -> None:
    cluster.start()
    cluster.stop()
    (cluster.folder / "superuser.password").unlink()

    with pytest.raises(PostgresError, match=r"superuser\.password"):
        cluster.start()


def launch(folder: Path) -> subprocess.Popen[str]:
    """Run a process that starts a cluster, prints the process id of its server, and waits."""
    script = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from deploy.local.postgres import NOT_DURABLE, Cluster\n"
        "cluster = Cluster(Path(sys.argv[1]), settings=NOT_DURABLE)\n"
        "cluster.start()\n"
        "print(cluster.pid, flush=True)\n"
        "signal.pause()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


def start_in_another_process(
    folder: Path,
) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    parent = launch(folder)
    assert parent.stdout is not None
    assert parent.stdout.readline().strip().isdecimal()
    processes = descendants(parent.pid)
    assert len(processes) > 3
    return parent, processes


# --- databases of tests -----------------------------------------------------------------------


async def test_every_test_gets_its_own_migrated_database(template: Template) -> None:
    with template.database() as first, template.database() as second:
        await query(first, "INSERT INTO note VALUES ('in the first')")

        assert await query(first, "SELECT count(*) FROM note") == 1
        assert await query(second, "SELECT count(*) FROM note") == 0


def test_template_is_migrated_once(postgres_cluster: TestPostgres) -> None:
    urls: list[str] = []
    name = f"once_{secrets.token_hex(4)}"

    first = postgres_cluster.template(name, urls.append)
    second = postgres_cluster.template(name, urls.append)

    assert first == second
    assert len(urls) == 1
