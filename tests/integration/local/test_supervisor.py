"""`python -m deploy.local run` with stand-in processes instead of the services."""

import signal
import socket
import stat
import time
from collections.abc import Callable

import asyncpg
import psutil
import pytest

from chassis.rpc.uuids import is_uuid
from deploy.local.client_settings import ClientSettings
from deploy.local.ports import free_port
from deploy.local.processes.child import STOP_SECONDS
from deploy.local.setup.first_administrator import USER_NAME
from tests.support.local.running import RunningSupervisor, descendants, is_alive
from tests.support.waiting import wait_until

Start = Callable[..., RunningSupervisor]


def with_free_port(*options: str) -> tuple[str, ...]:
    """Options with a port of our own: the default port may be in use on this machine."""
    return ("--port", str(free_port()), *options)


def listening_ports(process: psutil.Process) -> list[int]:
    """The ports on which the process listens; the programs of these tests have exactly one."""
    connections = process.net_connections(kind="tcp")
    ports = [c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN]
    assert len(ports) == 1
    return ports


def test_run_prints_and_stores_client_settings(start: Start) -> None:
    running = start(*with_free_port()).ready()

    connection = running.connection
    assert connection.tenant_url in running.printed
    assert connection.secret_token in running.printed
    assert f"Organization   {connection.organization_id}" in running.printed
    assert f"usersvc        {connection.usersvc} " in running.printed
    assert f"keysvc         {connection.keysvc} " in running.printed
    assert is_uuid(connection.organization_id)
    assert running.gateway()["GATEWAY_USERSVC"] == connection.usersvc
    assert running.gateway()["GATEWAY_KEYSVC"] == connection.keysvc
    stored = running.directory / "us.env"
    assert stored.read_text().splitlines() == [
        f"TENANT_URL={connection.tenant_url}",
        f"SECRET_TOKEN={connection.secret_token}",
        f"ORGANIZATION_ID={connection.organization_id}",
        f"USERSVC={connection.usersvc}",
        f"KEYSVC={connection.keysvc}",
    ]
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600


async def test_each_start_prints_new_link_for_same_administrator(start: Start) -> None:
    options = with_free_port()
    first = start(*options).ready()
    assert f"Sign in as {USER_NAME}" in first.printed
    assert first.link.startswith(f"http://127.0.0.1:{options[1]}/login/link#")
    assert first.stop() == 0
    stored = [path for path in first.directory.rglob("*.*") if path.is_file()]
    token = first.link.partition("#")[2].encode()
    assert [path for path in stored if token in path.read_bytes()] == []

    second = start(*options).ready()

    assert second.link.partition("#")[0] == first.link.partition("#")[0]
    assert second.link != first.link
    connection = await asyncpg.connect(second.child("usersvc").environ()["USERSVC_DATABASE_URL"])
    people = await connection.fetch("SELECT name, roles FROM person")
    assert [tuple(person) for person in people] == [(USER_NAME, ["Administrator"])]
    await connection.execute("UPDATE person SET active = false")
    await connection.close()
    second.stop()
    # A deactivated administrator stays deactivated at the next start.
    third = start(*options).ready()
    assert third.link is None
    assert "this user was deactivated" in third.printed


def test_gateway_gets_addresses_of_services_and_every_tenant_url(start: Start) -> None:
    running = start(*with_free_port()).ready()

    settings = running.gateway()
    own = running.connection.tenant_url
    other = "http://127.0.0.1:8180/webhooks/ad/v1/scim"
    assert settings["GATEWAY_TENANT_URLS"] == f"us={own},eu={other}"
    assert settings["GATEWAY_REGION"] == "us"
    assert not settings["GATEWAY_USERSVC"].endswith(":0")
    assert not settings["GATEWAY_KEYSVC"].endswith(":0")


def kept(connection: ClientSettings) -> tuple[str, str, str]:
    """The settings that stay; the services listen on other ports after each start."""
    return connection.tenant_url, connection.secret_token, connection.organization_id


def test_second_start_keeps_key(start: Start) -> None:
    options = with_free_port()
    first = start(*options).ready()
    connection = first.connection
    assert first.stop() == 0

    assert kept(start(*options).ready().connection) == kept(connection)


async def test_invalid_key_is_replaced(start: Start) -> None:
    options = with_free_port()
    first = start(*options).ready()
    before = first.connection
    url = first.child("keysvc").environ()["KEYSVC_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM api_key")
    await connection.close()
    first.stop()

    after = start(*options).ready().connection

    assert after.tenant_url == before.tenant_url
    assert after.secret_token != before.secret_token


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_and_closed_terminal_leave_no_process(start: Start, number: signal.Signals) -> None:
    running = start(*with_free_port()).ready()
    processes = descendants(running.process.pid)
    assert len(processes) > 4

    assert running.stop(number) == 0

    assert [p for p in processes if is_alive(p)] == []
    assert running.printed.endswith("Stopped.\n")


def test_ctrl_c_stops_region_started_in_background(start: Start, sigint_ignored: None) -> None:
    running = start(*with_free_port()).ready()

    assert running.stop(signal.SIGINT) == 0


def test_ctrl_c_during_start_leaves_no_process(start: Start) -> None:
    running = start(*with_free_port())
    wait_until(lambda: "PostgreSQL" in running.printed)
    processes = descendants(running.process.pid)

    assert running.stop() == 0

    assert [p for p in processes if is_alive(p)] == []


def test_second_ctrl_c_kills_hanging_process(start: Start) -> None:
    running = start(*with_free_port(), STAND_IN_STUBBORN="yes").ready()
    processes = descendants(running.process.pid)
    gateway, stubborn = running.child("gateway"), running.child("usersvc")
    running.process.send_signal(signal.SIGINT)
    wait_until(lambda: not is_alive(gateway))
    assert is_alive(stubborn)

    began = time.monotonic()
    assert running.stop() == 0

    # The hanging process was not waited for: it would have used up the time limit.
    assert time.monotonic() - began < 0.8 * STOP_SECONDS
    assert [p for p in processes if is_alive(p)] == []


def test_killed_supervisor_leaves_no_process(start: Start) -> None:
    running = start(*with_free_port()).ready()
    processes = descendants(running.process.pid)

    running.stop(signal.SIGKILL)

    wait_until(lambda: not any(is_alive(p) for p in processes), seconds=5)


def test_start_after_kill_keeps_key(start: Start) -> None:
    options = with_free_port()
    running = start(*options).ready()
    connection = running.connection
    running.stop(signal.SIGKILL)

    assert kept(start(*options).ready().connection) == kept(connection)


@pytest.mark.parametrize("name", ["usersvc", "keysvc", "gateway"])
def test_killed_child_restarts_at_same_address(start: Start, name: str) -> None:
    running = start(*with_free_port()).ready()
    killed = running.child(name)
    ports = listening_ports(killed)

    killed.kill()

    wait_until(lambda: f"{name} is back" in running.printed)
    assert f"{name} ended (SIGKILL); restarting in 0.25 s" in running.printed
    assert listening_ports(running.child(name)) == ports


async def test_killed_postgresql_restarts_with_its_data(start: Start) -> None:
    running = start(*with_free_port()).ready()
    url = running.child("keysvc").environ()["KEYSVC_DATABASE_URL"]

    running.postgres().kill()

    wait_until(lambda: "PostgreSQL is back" in running.printed)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT token FROM api_key") == (
        running.connection.secret_token
    )
    await connection.close()


def test_child_that_cannot_start_stops_all_processes(start: Start) -> None:
    running = start(*with_free_port(), STAND_IN_FAILS="yes")

    assert running.ended() == 1

    assert "usersvc did not start" in running.printed
    assert "USERSVC_SOMETHING is 'x', not a number" in running.printed
    assert not (running.directory / "us" / "postgres" / "data" / "postmaster.pid").exists()


def test_second_start_of_running_region_is_rejected(start: Start) -> None:
    first = start(*with_free_port()).ready()

    second = start(*with_free_port())

    assert second.ended() == 1
    assert f"Region us already runs here (held by process {first.process.pid})" in second.printed
    assert first.gateway()


def test_two_regions_run_side_by_side(start: Start) -> None:
    us, eu = start(*with_free_port()).ready(), start(*with_free_port("--region", "eu")).ready()

    assert us.connection.secret_token.startswith("us_")
    assert eu.connection.secret_token.startswith("eu_")
    assert eu.gateway()["GATEWAY_TENANT_URLS"] == (
        f"us={us.connection.tenant_url},eu={eu.connection.tenant_url}"
    )


def test_requested_port_in_use_is_rejected(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other_server:
        port = other_server.getsockname()[1]
        running = start("--port", str(port))

        assert running.ended() == 1

    assert f"Port {port} is in use by another program" in running.printed


def test_each_process_has_its_own_log(start: Start) -> None:
    running = start(*with_free_port()).ready()
    logs = running.directory / "us" / "log"

    assert sorted(path.name for path in logs.iterdir()) == [
        "gateway.log",
        "keysvc.log",
        "postgres.log",
        "usersvc.log",
    ]
    assert '"event": "listening"' in (logs / "usersvc.log").read_text()
