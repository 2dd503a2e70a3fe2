"""Starts a region's PostgreSQL and processes, keeps them running, and stops them all."""

import asyncio
import time
from collections.abc import Coroutine

from deploy.local.connection import Connection, read_connection, write_connection
from deploy.local.files import read_or_make_secret, write_private
from deploy.local.panel import render_panel, shown
from deploy.local.postgres import Cluster, PostgresError
from deploy.local.processes.child import (
    FIRST_DELAY_SECONDS,
    LONGEST_DELAY_SECONDS,
    Child,
    rotate_log,
)
from deploy.local.processes.programs import Programs
from deploy.local.region import HOST, Places, sign_in_link, tenant_url
from deploy.local.setup.first_administrator import sign_in_token
from deploy.local.setup.first_key import first_organization, working_token
from deploy.local.terminal import is_colourful, say

WATCH_SECONDS = 0.2


class Supervisor:
    """One region's run, from start to stop."""

    def __init__(self, places: Places, programs: Programs, port: int) -> None:
        self._places = places
        self._programs = programs
        self._port = port
        self._cluster = Cluster(places.postgres, log=places.log("postgres"))
        self._gateway: Child | None = None
        self._services: list[Child] = []

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Start everything and keep it running until `stop`; then, in any case, stop it all.

        Raises what kept a part from starting. `hurry` cuts the waiting at the end short.
        """
        work = asyncio.create_task(self._start_and_watch())
        told = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((work, told), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                say("\nStopping ...")
        finally:
            for task in (work, told):
                task.cancel()
            results = await asyncio.gather(work, told, return_exceptions=True)
            await self._stop(hurry)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _start_and_watch(self) -> None:
        began = time.monotonic()
        say(f"Starting region {self._places.region.name} ...")
        self._start_postgres()
        usersvc, keysvc = await self._start_services()
        gateway = await self._start_gateway(usersvc, keysvc)
        connection = await self._connection(keysvc)
        link = await self._sign_in_link(usersvc, keysvc)
        say(f"  everything runs after {time.monotonic() - began:.1f} s\n")
        say(self._panel(connection, link))
        await asyncio.gather(
            self._keep_postgres_running(),
            usersvc.keep_running("serve"),
            keysvc.keep_running("serve"),
            gateway.keep_running(),
        )

    def _start_postgres(self) -> None:
        # Not in a thread: the server is tied to the life of the thread that starts it.
        rotate_log(self._cluster.log)
        made = not self._cluster.data.exists()
        self._cluster.start()
        say(f"  PostgreSQL   {HOST}:{self._cluster.port}{', a new cluster' if made else ''}")

    async def _start_services(self) -> tuple[Child, Child]:
        usersvc = Child(self._programs.usersvc(self._database("users", "usersvc")))
        keysvc = Child(self._programs.keysvc(self._database("keys", "keysvc")))
        self._services = [usersvc, keysvc]
        await _together(self._start_service(usersvc), self._start_service(keysvc))
        write_private(self._places.usersvc, f"{usersvc.address}\n")
        return usersvc, keysvc

    def _database(self, name: str, role: str) -> str:
        password = read_or_make_secret(self._places.password(role))
        return self._cluster.create_role_and_database(name, role, password)

    async def _start_service(self, service: Child) -> None:
        rotate_log(service.program.log)
        await service.run_to_end("migrate")
        await service.start("serve")
        say(f"  {service.name:<12} {service.address}")

    async def _start_gateway(self, usersvc: Child, keysvc: Child) -> Child:
        program = self._programs.gateway(usersvc.address, keysvc.address, self._port)
        self._gateway = Child(program, self._port)
        rotate_log(program.log)
        await self._gateway.start()
        say(f"  {self._gateway.name:<12} {self._gateway.address}")
        return self._gateway

    async def _connection(self, keysvc: Child) -> Connection:
        kept = read_connection(self._places.connection)
        token = await working_token(keysvc.address, kept.secret_token if kept else None)
        connection = Connection(tenant_url(self._port), token)
        write_connection(self._places.connection, connection)
        return connection

    async def _sign_in_link(self, usersvc: Child, keysvc: Child) -> str | None:
        """Shown and kept nowhere: it signs in an administrator, once."""
        organization_id = await first_organization(keysvc.address)
        token = await sign_in_token(usersvc.address, organization_id)
        return None if token is None else sign_in_link(self._port, token)

    def _panel(self, connection: Connection, link: str | None) -> str:
        return render_panel(
            self._places.region,
            connection,
            link,
            shown(self._places.connection),
            shown(self._places.logs),
            colour=is_colourful(),
        )

    async def _keep_postgres_running(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._cluster.running:
                delay = FIRST_DELAY_SECONDS
                continue
            say(f"  PostgreSQL ended; restarting in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            try:
                self._cluster.start()
            except PostgresError as error:
                say(f"  {error}")
            else:
                say(f"  PostgreSQL is back (process {self._cluster.pid})")

    async def _stop(self, hurry: asyncio.Event) -> None:
        """Those who ask before those who answer, so that nobody is cut off in mid-request."""
        if self._gateway is not None:
            await self._gateway.stop(hurry)
        self._places.usersvc.unlink(missing_ok=True)
        await asyncio.gather(*(service.stop(hurry) for service in self._services))
        self._cluster.stop()


async def _together(*steps: Coroutine[None, None, None]) -> None:
    """Take these steps side by side; the first that fails ends the others and is raised."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
