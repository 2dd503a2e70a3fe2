"""All three services in this process, wired by their own `serve`, with TLS and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import grpc
import pytest
import structlog
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc
from cloudacademy.users.v1 import schemas_pb2
from cloudacademy.users.v1.schemas_pb2_grpc import SchemaServiceStub
from structlog.testing import LogCapture

import chassis.concurrency.supervisor
import chassis.observability.log
import gateway.settings
import gateway.wiring
import keysvc.settings
import keysvc.wiring
import usersvc.settings
import usersvc.wiring
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect
from deploy.local.region import TENANT_PATH
from tests.support.chassis.authorities import Authority
from tests.support.chassis.echoes import until

SERVICES = ("keysvc", "usersvc", "gateway")
URN = "urn:acme:2.0:Badge"


@dataclass
class Service:
    """A running service, its log entries and its supervisor."""

    name: str
    capture: LogCapture = field(default_factory=LogCapture)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] = field(init=False)
    tasks: chassis.concurrency.supervisor.Supervisor = field(init=False)

    @property
    def log(self) -> Any:
        levels = structlog.make_filtering_bound_logger(0)
        return structlog.wrap_logger(None, [self.capture], levels)

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.capture.entries if entry["event"] == event]

    def address(self, event: str, field_name: str) -> str:
        return str(self.logged(event)[0][field_name])

    @property
    def port(self) -> str:
        return self.address("listening", "address").rpartition(":")[2]

    async def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.task = asyncio.create_task(coroutine)
        await until(lambda: self.task.done() or bool(self.logged("listening")))
        if self.task.done():
            await self.task

    async def end(self) -> None:
        self.stop.set()
        await self.task


class Region:
    """The services of a region, and one organization with a key."""

    def __init__(self, folder: Path, keys_url: str, users_url: str) -> None:
        self.folder = folder
        self.authority = Authority()
        self.urls = {"keysvc": keys_url, "usersvc": users_url}
        self.keysvc, self.usersvc, self.gateway = map(Service, SERVICES)
        self.organization_id = self.token = ""
        self.key = keys_pb2.Key()

    @property
    def services(self) -> dict[str, Service]:
        return {each.name: each for each in (self.keysvc, self.usersvc, self.gateway)}

    def issue(self, name: str) -> dict[str, str]:
        """Issue a certificate for a service; returns the settings for it."""
        files = self.authority.issue(self.folder / name, name)
        prefix = f"{name.upper()}_TLS_"
        return {
            f"{prefix}CERTIFICATE": str(files.certificate),
            f"{prefix}KEY": str(files.key),
            f"{prefix}AUTHORITY": str(files.authority),
        }

    @asynccontextmanager
    async def channel(
        self, service: Service, name: str = "operator"
    ) -> AsyncIterator[grpc.aio.Channel]:
        """A connected channel of an operator, or of another caller.

        The first attempt to connect may fail on a busy machine; then gRPC retries.
        """
        files = self.authority.issue(self.folder / f"as-{name}", name)
        certificates = Certificates(files, service.log)
        async with connect(f"localhost:{service.port}", {}, certificates) as channel:
            async with asyncio.timeout(60):
                await channel.channel_ready()
            yield channel

    async def start(self, exits: AsyncExitStack, names: tuple[str, ...]) -> None:
        """Start services, each with an admin port."""
        for name in names:
            service = self.services[name]
            await service.run(self._serve(name, service))
            exits.push_async_callback(service.end)
        if "keysvc" in names:
            await until(lambda: bool(self.keysvc.logged("feed connected")))
            await self._create_organization()

    def _serve(self, name: str, service: Service) -> Coroutine[Any, Any, None]:
        prefix = name.upper()
        variables = self.issue(name) | {
            f"{prefix}_LISTEN": "127.0.0.1:0",
            f"{prefix}_ADMIN_LISTEN": "127.0.0.1:0",
        }
        if name == "gateway":
            variables |= {
                "GATEWAY_USERSVC": f"localhost:{self.usersvc.port}",
                "GATEWAY_KEYSVC": f"localhost:{self.keysvc.port}",
                "GATEWAY_REGION": "us",
                "GATEWAY_CURSOR_SECRET": bytes(range(32)).hex(),
            }
            return gateway.wiring.serve(gateway.settings.read(variables), service.stop)
        variables[f"{prefix}_DATABASE_URL"] = self.urls[name]
        variables[f"{prefix}_REGION"] = "us"
        if name == "usersvc":
            settings = usersvc.settings.read(variables)
            return usersvc.wiring.serve(settings, service.log, service.stop)
        return keysvc.wiring.serve(
            keysvc.settings.Settings.read(variables), service.log, service.stop
        )

    async def _create_organization(self) -> None:
        async with self.channel(self.keysvc) as channel:
            organizations = keys_pb2_grpc.OrganizationServiceStub(channel)
            organization = keys_pb2.Organization(display_name="Acme")
            created = await organizations.CreateOrganization(
                keys_pb2.CreateOrganizationRequest(organization=organization), timeout=10
            )
            self.organization_id = created.organization.id
            integrations = keys_pb2_grpc.IntegrationServiceStub(channel)
            await integrations.ActivateIntegration(
                keys_pb2.ActivateIntegrationRequest(organization_id=self.organization_id)
            )
            await self.generate_key()

    async def generate_key(self) -> None:
        async with self.channel(self.keysvc) as channel:
            response = await keys_pb2_grpc.KeyServiceStub(channel).GenerateKey(
                keys_pb2.GenerateKeyRequest(organization_id=self.organization_id, created_by="ann"),
                timeout=10,
            )
        self.key, self.token = response.key, response.token

    async def revoke_key(self) -> None:
        async with self.channel(self.keysvc) as channel:
            await keys_pb2_grpc.KeyServiceStub(channel).RevokeKey(
                keys_pb2.RevokeKeyRequest(
                    organization_id=self.organization_id, key_id=self.key.id, revoked_by="bob"
                ),
                timeout=10,
            )

    async def create_schema(self, organization_id: str, urn: str = URN) -> None:
        attribute = schemas_pb2.Attribute(name="color", type=schemas_pb2.Attribute.TYPE_STRING)
        schema = schemas_pb2.Schema(urn=urn, name="Badge", attributes=[attribute])
        async with self.channel(self.usersvc) as channel:
            await SchemaServiceStub(channel).CreateSchema(
                schemas_pb2.CreateSchemaRequest(organization_id=organization_id, schema=schema),
                timeout=10,
            )

    async def delete_schema(self, organization_id: str, urn: str = URN) -> None:
        request = schemas_pb2.DeleteSchemaRequest(organization_id=organization_id, urn=urn)
        async with self.channel(self.usersvc) as channel:
            await SchemaServiceStub(channel).DeleteSchema(request, timeout=10)

    async def authenticate(self) -> None:
        """Use the key, as a gateway does."""
        async with self.channel(self.keysvc, "gateway") as channel:
            await keys_pb2_grpc.KeyServiceStub(channel).Authenticate(
                keys_pb2.AuthenticateRequest(token=self.token, client_address="192.0.2.1"),
                timeout=10,
            )

    async def request(self, method: str, path: str, body: object = None) -> int:
        """Send a SCIM request; returns the status of the response."""
        url = f"http://127.0.0.1:{self.gateway.port}{TENANT_PATH}{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, url, json=body) as response,
        ):
            await response.read()
            return response.status

    async def admin(self, service: Service, path: str) -> tuple[int, str]:
        """The status and body of a response of a service's admin port."""
        address = service.address("admin listening", "address")
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{address}{path}") as response,
        ):
            return response.status, await response.text()

    async def fetch(self, service: str, statement: str, *arguments: object) -> Any:
        """A value in a service's database."""
        database = await asyncpg.connect(self.urls[service])
        try:
            return await database.fetchval(statement, *arguments)
        finally:
            await database.close()


@asynccontextmanager
async def running_region(
    folder: Path,
    keys_url: str,
    users_url: str,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...] = SERVICES,
) -> AsyncIterator[Region]:
    """Run services until the end of the block, and capture their log entries."""
    region = Region(folder, keys_url, users_url)
    monkeypatch.setattr(
        chassis.observability.log, "configure", lambda name, _: region.services[name].log
    )
    for module, service in (
        (keysvc.wiring, region.keysvc),
        (usersvc.wiring, region.usersvc),
        (gateway.wiring, region.gateway),
    ):
        monkeypatch.setattr(module, "Supervisor", _capturing_supervisor(service))
    async with AsyncExitStack() as exits:
        await region.start(exits, names)
        yield region


def _capturing_supervisor(service: Service) -> Any:
    def make(*arguments: Any) -> chassis.concurrency.supervisor.Supervisor:
        service.tasks = chassis.concurrency.supervisor.Supervisor(*arguments)
        return service.tasks

    return make
