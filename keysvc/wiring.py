"""Wiring of keysvc: the stores, the gRPC services and the background tasks of one process."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from cloudacademy.keys.v1 import (
    audit_pb2_grpc,
    domains_pb2_grpc,
    keys_pb2_grpc,
    sso_pb2_grpc,
)
from cloudacademy.peers.v1 import peers_pb2_grpc

from chassis.clock import Clock, system_clock
from chassis.concurrency.supervisor import Supervisor
from chassis.database import migrations
from chassis.database.clock_monitor import ClockMonitor
from chassis.database.identity import Owner
from chassis.database.notifications import NotificationFeed
from chassis.database.pool import Database
from chassis.database.preparation import prepare
from chassis.database.verification import Verification
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from chassis.observability.tracing import tracing
from chassis.process import Stop
from chassis.rpc.channel import accepts_calls
from chassis.rpc.peers import UNLOGGED_METHODS, PeerServicer
from chassis.rpc.server import Server
from keysvc.background.key_uses import KeyUses
from keysvc.domain.key_token import RandomBytes
from keysvc.domain.organizations import Region
from keysvc.rpc.audit import AuditServicer
from keysvc.rpc.authorization import CALLERS
from keysvc.rpc.domains import DomainServicer
from keysvc.rpc.integrations import IntegrationServicer
from keysvc.rpc.keys import KeyServicer
from keysvc.rpc.organizations import OrganizationServicer
from keysvc.rpc.sso import SsoServicer
from keysvc.settings import Settings
from keysvc.store.audit import AuditStore
from keysvc.store.common import CHANNEL
from keysvc.store.keys import KeyStore
from keysvc.store.organizations import OrganizationStore
from keysvc.store.sso import SsoStore
from keysvc.store.sso_domains import SsoDomainStore

NAME: Final = "keysvc"
HEARTBEAT_SECONDS: Final = 0.2  # the contract says 0.25; the rest is for the statement
MIGRATIONS: Final = Path(__file__).parent / "store" / "migrations"


async def serve(
    settings: Settings,
    log: Logger,
    stop: Stop,
    clock: Clock = system_clock,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> None:
    """Serve until `stop` is set."""
    async with (
        tracing(NAME) as process_tracing,
        Database(
            settings.database_url, NAME, tracing=process_tracing, must_be_verified=True
        ) as database,
        Database(
            settings.listen_url or settings.database_url,
            f"{NAME}-changes",
            pool_size=1,
            must_be_verified=True,
        ) as listening,
        Supervisor(log) as tasks,
    ):
        metrics = Metrics()
        keys = KeyStore(database)
        changes = NotificationFeed(listening, CHANNEL, HEARTBEAT_SECONDS, log)
        uses = KeyUses(keys, log)
        clocks = ClockMonitor(database, clock, log)
        verification = Verification(
            Owner(NAME, settings.region), migrations.read(MIGRATIONS), database, listening, log
        )
        server = Server(
            settings.server,
            CALLERS,
            log,
            tasks,
            prepare=lambda: prepare(verification, clocks),
            in_service=lambda: clocks.in_service,
            accepts_calls_name=accepts_calls(NAME, settings.region),
            metrics=metrics,
            tracing=process_tracing,
            logged_fields=("organization_id",),
            unlogged_methods=UNLOGGED_METHODS,
        )
        for each in (database, tasks, uses, clocks):
            each.observe(metrics)
        metrics.gauge("key_watch_streams", "Open WatchKeys streams.", lambda: changes.streams)
        servicer = KeyServicer(
            keys, uses, changes, region=settings.region, clock=clock, random_bytes=random_bytes
        )
        keys_pb2_grpc.add_KeyServiceServicer_to_server(servicer, server.grpc)
        _add_services(server, database, settings.region, clock)
        tasks.start("clock comparison", clocks.run)
        async with _background_tasks(tasks, changes, uses, stop):
            await server.run(stop)


def _add_services(server: Server, database: Database, region: Region, clock: Clock) -> None:
    """Add the services that need only the database."""
    store = OrganizationStore(database)
    organizations = OrganizationServicer(store, region, clock)
    keys_pb2_grpc.add_OrganizationServiceServicer_to_server(organizations, server.grpc)
    integrations = IntegrationServicer(store, clock)
    keys_pb2_grpc.add_IntegrationServiceServicer_to_server(integrations, server.grpc)
    sso = SsoServicer(SsoStore(database), clock)
    sso_pb2_grpc.add_SsoServiceServicer_to_server(sso, server.grpc)
    domains = DomainServicer(SsoDomainStore(database), clock)
    domains_pb2_grpc.add_DomainServiceServicer_to_server(domains, server.grpc)
    peers = PeerServicer(NAME, region, clock)
    peers_pb2_grpc.add_PeerServiceServicer_to_server(peers, server.grpc)
    audit = AuditServicer(AuditStore(database), clock)
    audit_pb2_grpc.add_AuditServiceServicer_to_server(audit, server.grpc)


@asynccontextmanager
async def _background_tasks(
    tasks: Supervisor, changes: NotificationFeed, uses: KeyUses, stop: Stop
) -> AsyncIterator[None]:
    """Run the change feed, and write key uses until the last call has ended."""
    drained = asyncio.Event()
    tasks.start("key changes", lambda: changes.follow(stop), drain_event=stop, is_required=True)
    writer = tasks.start("key uses", lambda: uses.write(drained), drain_event=drained)
    try:
        yield
    finally:
        await writer.end()
