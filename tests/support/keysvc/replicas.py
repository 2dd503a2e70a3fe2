"""Replicas of keysvc in this process, on real sockets, with a clock that tests control."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
import structlog
from cloudacademy.keys.v1 import (
    audit_pb2,
    audit_pb2_grpc,
    domains_pb2_grpc,
    keys_pb2_grpc,
    sso_pb2_grpc,
)
from cloudacademy.keys.v1 import keys_pb2 as pb
from structlog.testing import LogCapture

from chassis.config.settings import Address, ServerSettings
from chassis.rpc.status import RpcStatus, from_rpc_error
from keysvc.domain.organizations import Region
from keysvc.settings import Settings
from keysvc.wiring import serve
from tests.support.waiting import eventually

PATIENCE_SECONDS = 20.0
OPEN = ServerSettings(Address("127.0.0.1", 0), shutdown_delay_seconds=0.0)


class MovableClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, **by: float) -> None:
        self._now += timedelta(**by)


@dataclass
class Replica:
    """A server, and the stubs of a client."""

    address: str
    channel: grpc.aio.Channel
    log: list[dict[str, Any]]
    stop: asyncio.Event
    task: asyncio.Task[None]
    organizations: Any = field(init=False)
    integrations: Any = field(init=False)
    keys: Any = field(init=False)
    audit: Any = field(init=False)
    sso: Any = field(init=False)
    domains: Any = field(init=False)

    def __post_init__(self) -> None:
        self.organizations = keys_pb2_grpc.OrganizationServiceStub(self.channel)
        self.integrations = keys_pb2_grpc.IntegrationServiceStub(self.channel)
        self.keys = keys_pb2_grpc.KeyServiceStub(self.channel)
        self.audit = audit_pb2_grpc.AuditServiceStub(self.channel)
        self.sso = sso_pb2_grpc.SsoServiceStub(self.channel)
        self.domains = domains_pb2_grpc.DomainServiceStub(self.channel)

    def logged(self, event: str) -> int:
        return sum(entry["event"] == event for entry in self.log)

    async def create(self, name: str = "Acme") -> str:
        """The id of a new organization with an active integration."""
        request = pb.CreateOrganizationRequest(organization=pb.Organization(display_name=name))
        organization_id: str = (
            await self.organizations.CreateOrganization(request)
        ).organization.id
        await self.activate(organization_id)
        return organization_id

    async def activate(self, organization_id: str) -> None:
        request = pb.ActivateIntegrationRequest(organization_id=organization_id)
        await self.integrations.ActivateIntegration(request)

    async def deactivate(self, organization_id: str) -> None:
        request = pb.DeactivateIntegrationRequest(organization_id=organization_id)
        await self.integrations.DeactivateIntegration(request)

    async def generate(
        self, organization_id: str, created_by: str = "ann", newest_key_id: str = ""
    ) -> Any:
        request = pb.GenerateKeyRequest(
            organization_id=organization_id, created_by=created_by, newest_key_id=newest_key_id
        )
        return await self.keys.GenerateKey(request)

    async def revoke(self, key: pb.Key) -> Any:
        request = pb.RevokeKeyRequest(
            organization_id=key.organization_id, key_id=key.id, revoked_by="bob"
        )
        return (await self.keys.RevokeKey(request)).key

    async def authenticate(self, token: str, address: str = "") -> Any:
        return await self.keys.Authenticate(
            pb.AuthenticateRequest(token=token, client_address=address)
        )

    async def list(self, organization_id: str) -> list[pb.Key]:
        request = pb.ListKeysRequest(organization_id=organization_id)
        return list((await self.keys.ListKeys(request)).keys)

    async def audit_events(self, organization_id: str) -> Sequence[audit_pb2.AuditEvent]:
        """The audit events, newest first."""
        request = audit_pb2.ListAuditEventsRequest(organization_id=organization_id)
        return [*(await self.audit.ListAuditEvents(request)).events]


@asynccontextmanager
async def running_replica(
    url: str,
    clock: MovableClock,
    region: Region = Region.US,
    *,
    follows: bool = True,
    server: ServerSettings = OPEN,
) -> AsyncIterator[Replica]:
    """Start a server. With `follows`, wait until its change feed is connected."""
    capture, stop = LogCapture(), asyncio.Event()
    log = structlog.wrap_logger(None, processors=[capture])
    settings = Settings(url, server, region, "debug")
    task = asyncio.create_task(serve(settings, log, stop, clock))
    started = {"listening", "feed connected"} if follows else {"listening"}
    try:
        await until(lambda: task.done() or started <= {entry["event"] for entry in capture.entries})
        if task.done():
            await task
        address = next(
            entry["address"] for entry in capture.entries if entry["event"] == "listening"
        )
        async with grpc.aio.insecure_channel(address) as channel:
            yield Replica(address, channel, capture.entries, stop, task)
    finally:
        stop.set()
        await task


class Watcher:
    """A client of a WatchKeys stream, which records what it receives."""

    def __init__(self, replica: Replica) -> None:
        self.times: list[float] = []
        self.event_kinds: list[str] = []
        """The kinds of all received events, including heartbeats."""
        self.events: list[tuple[str, str]] = []
        self.error: RpcStatus | None = None
        self._call = replica.keys.WatchKeys(pb.WatchKeysRequest())
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for response in self._call:
                self.times.append(time.monotonic())
                kind = response.WhichOneof("event")
                self.event_kinds.append(kind)
                if kind != "heartbeat":
                    self.events.append((kind, response.organization_change.organization_id))
        except grpc.aio.AioRpcError as error:
            self.error = from_rpc_error(error)

    def cancel(self) -> None:
        self._call.cancel()


@asynccontextmanager
async def watching(replica: Replica) -> AsyncIterator[Watcher]:
    """Watch changes, from the `reset` of the stream on.

    Earlier changes may arrive between `reset` and the first heartbeat; they are dropped.
    """
    watcher = Watcher(replica)
    await until(lambda: "heartbeat" in watcher.event_kinds)
    del watcher.events[1:]
    try:
        yield watcher
    finally:
        watcher.cancel()
        await asyncio.wait([watcher.task])


@contextmanager
def refused(reason: str) -> Iterator[Callable[[], RpcStatus]]:
    """Expect a refusal, which the yielded function returns afterwards."""
    refusals: list[RpcStatus] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield lambda: refusals[0]
    refusals.append(from_rpc_error(caught.value))
    assert refusals[0].reason == reason, caught.value


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition is true."""
    await eventually(condition, seconds)
