"""Starts PostgreSQL and the processes of a region, keeps them running, and stops them."""

import asyncio
import json
import time
from collections.abc import Coroutine

from deploy.local.client_settings import ClientSettings, read_client_settings, write_client_settings
from deploy.local.files import read_or_create_secret, write_private
from deploy.local.panel import relative_to_cwd, render_panel
from deploy.local.postgres import Cluster, PostgresError
from deploy.local.processes.child import (
    FIRST_DELAY_SECONDS,
    LONGEST_DELAY_SECONDS,
    Child,
    rotate_log,
)
from deploy.local.processes.programs import Programs
from deploy.local.region import HOST, RegionPaths, sign_in_link, tenant_url
from deploy.local.setup.first_administrator import sign_in_token
from deploy.local.setup.first_key import first_organization, valid_token
from deploy.local.terminal import is_colourful, say

WATCH_SECONDS = 0.2


class Supervisor:
    """One region's run, from start to stop."""

    def __init__(self, paths: RegionPaths, programs: Programs, port: int) -> None:
        self._paths = paths
        self._programs = programs
        self._port = port
        self._cluster = Cluster(paths.postgres, log=paths.log("postgres"))
        self._gateway: Child | None = None
        self._services: list[Child] = []

    async def run(self, stop: asyncio.Event, force: asyncio.Event) -> None:
        """Start all processes, keep them running until `stop` is set, then stop them.

        Raises the error that kept a process from starting; the others are stopped first. Setting
        `force` ends the graceful shutdown early.
        """
        work = asyncio.create_task(self._start_and_watch())
        stop_requested = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((work, stop_requested), return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                say("\nStopping ...")
        finally:
            for task in (work, stop_requested):
                task.cancel()
            results = await asyncio.gather(work, stop_requested, return_exceptions=True)
            await self._stop(force)
        if isinstance(results[0], Exception):
            raise results[0]

    async def _start_and_watch(self) -> None:
        began = time.monotonic()
        say(f"Starting region {self._paths.region.name} ...")
        self._start_postgres()
        usersvc, keysvc = await self._start_services()
        gateway = await self._start_gateway(usersvc, keysvc)
        client_settings = await self._client_settings(usersvc, keysvc)
        link = await self._sign_in_link(usersvc, client_settings.organization_id)
        say(f"  all processes run after {time.monotonic() - began:.1f} s\n")
        say(self._panel(client_settings, link))
        await asyncio.gather(
            self._keep_postgres_running(),
            usersvc.keep_running("serve"),
            keysvc.keep_running("serve"),
            gateway.keep_running(),
        )

    def _start_postgres(self) -> None:
        # Not in a worker thread: the server ends when the thread that started it ends.
        rotate_log(self._cluster.log)
        is_new = not self._cluster.data.exists()
        self._cluster.start()
        say(f"  PostgreSQL   {HOST}:{self._cluster.port}{', a new cluster' if is_new else ''}")

    async def _start_services(self) -> tuple[Child, Child]:
        urls = {
            "usersvc": self._database("users", "usersvc"),
            "keysvc": self._database("keys", "keysvc"),
        }
        write_private(self._paths.databases, json.dumps(urls))
        usersvc = Child(self._programs.usersvc(urls["usersvc"]))
        keysvc = Child(self._programs.keysvc(urls["keysvc"]))
        self._services = [usersvc, keysvc]
        await _run_concurrently(self._start_service(usersvc), self._start_service(keysvc))
        write_private(self._paths.usersvc, f"{usersvc.address}\n")
        return usersvc, keysvc

    def _database(self, name: str, role: str) -> str:
        password = read_or_create_secret(self._paths.password(role))
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

    async def _client_settings(self, usersvc: Child, keysvc: Child) -> ClientSettings:
        stored = read_client_settings(self._paths.client_settings)
        token = await valid_token(keysvc.address, stored.secret_token if stored else None)
        organization_id = await first_organization(keysvc.address)
        client_settings = ClientSettings(
            tenant_url(self._port), token, organization_id, usersvc.address, keysvc.address
        )
        write_client_settings(self._paths.client_settings, client_settings)
        return client_settings

    async def _sign_in_link(self, usersvc: Child, organization_id: str) -> str | None:
        """A link that signs in the administrator once; it is printed and stored nowhere."""
        token = await sign_in_token(usersvc.address, organization_id)
        return None if token is None else sign_in_link(self._port, token)

    def _panel(self, client_settings: ClientSettings, link: str | None) -> str:
        return render_panel(
            self._paths.region,
            client_settings,
            link,
            relative_to_cwd(self._paths.client_settings),
            relative_to_cwd(self._paths.logs),
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

    async def _stop(self, force: asyncio.Event) -> None:
        """Stop clients before servers, so that no request is cut off."""
        if self._gateway is not None:
            await self._gateway.stop(force)
        self._paths.usersvc.unlink(missing_ok=True)
        self._paths.databases.unlink(missing_ok=True)
        await asyncio.gather(*(service.stop(force) for service in self._services))
        self._cluster.stop()


async def _run_concurrently(*steps: Coroutine[None, None, None]) -> None:
    """Run coroutines concurrently; the first error cancels the others and is raised."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
