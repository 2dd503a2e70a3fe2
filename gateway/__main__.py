"""`python -m gateway`: settings → channels → app → run."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
from aiohttp import web
from cloudacademy.keys.v1 import keys_pb2_grpc
from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceStub

from chassis import process
from chassis.clock import system_clock
from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.concurrency.supervisor import Supervisor
from chassis.observability import log
from chassis.observability.admin import admin_port
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from chassis.observability.tracing import Tracing, tracing
from chassis.rpc.certificates import Certificates
from chassis.startup import StartError
from gateway import settings as gateway_settings
from gateway.api.app import PREFIX, ScimEndpoint, application
from gateway.api.early_rejection import EarlyRejector
from gateway.api.endpoints import Resources, endpoints
from gateway.api.groups import Groups
from gateway.api.query.cursors import Cursors
from gateway.api.resource_types import ResourceTypes
from gateway.api.routing import Table
from gateway.api.users import Users
from gateway.auth.authenticator import Authenticator, Caller
from gateway.auth.failed_auth import FailedAuthLimiter
from gateway.auth.key_cache import KeyCache, follow
from gateway.backend.client import UserClient, all_serving, batched, key_channel, user_channel
from gateway.backend.groups import GroupClient
from gateway.backend.portal import portal_clients
from gateway.backend.schemas import SchemaClient
from gateway.http.body import Bodies
from gateway.http.client_address import behind
from gateway.http.compute_worker import SWITCH_SECONDS
from gateway.http.compute_worker import ComputeWorker as ParsingWorker
from gateway.http.connections import Connections
from gateway.http.heads import Heads
from gateway.http.response_memory import ResponseMemory
from gateway.http.server import DRAIN_SECONDS, Runner
from gateway.http.telemetry import measure, trace
from gateway.limits.admission import AdmissionControl
from gateway.limits.rate_limiter import RateLimiter
from gateway.limits.rejections import RejectionStats, full
from gateway.openapi.document import document
from gateway.openapi.page import page
from gateway.portal.routes import portal, portal_routes
from gateway.provisioning_log.writer import RejectionLog
from gateway.settings import Settings
from gateway.sso.pending import PendingSignIns
from gateway.sso.provider import read_service_provider
from gateway.sso.renderer import PageRenderer, form_action
from gateway.sso.services import ServiceClient
from gateway.sso.views import SingleSignOn, routes
from gateway.sso.xml_worker import XmlWorker
from gateway.web.cookies import Cookies
from gateway.web.page_limits import PageLimiter


def main() -> None:
    """Read the settings and serve until told to stop."""
    try:
        process.keep_memory_private()
        sys.setswitchinterval(SWITCH_SECONDS)
        settings = gateway_settings.read(os.environ)
    except StartError as error:
        sys.exit(f"gateway: {error}")
    process.run(lambda stop: serve(settings, stop))


async def serve(settings: Settings, stop: process.Stop) -> None:
    """Make all collaborators, listen, and drain at the end."""
    logger = log.configure("gateway", settings.log_level)
    certificates = Certificates(settings.tls, logger) if settings.tls else None
    async with (
        tracing("gateway") as traces,
        Supervisor(logger) as tasks,
        user_channel(settings.usersvc, certificates, traces, tasks) as users,
        key_channel(settings.keysvc, certificates, traces, tasks) as keys,
        AsyncExitStack() as ends,
    ):
        channels, metrics = Channels(users, keys, traces), Metrics()
        guards = Guards(settings, channels, logger)
        ends.callback(guards.worker.close)
        app = Assembly(settings, channels, guards, ends, logger).application(metrics)
        tasks.observe(metrics)
        ends.enter_context(admin_port(settings.admin, metrics, {}, logger))
        runner = Runner(
            app, logger, guards.connections, guards.doorman, heads=guards.heads, tasks=tasks
        )
        async with _behind_requests(channels, guards, logger, tasks):
            try:
                await runner.listen(settings.listen)
                await stop.wait()
            finally:
                logger.info("draining", limit_seconds=DRAIN_SECONDS)
                await runner.cleanup()
    logger.info("stopped")


@dataclass(frozen=True, slots=True)
class Channels:
    """The ways to the services."""

    users: grpc.aio.Channel
    keys: grpc.aio.Channel
    traces: Tracing | None

    @property
    def key_stub(self) -> "keys_pb2_grpc.KeyServiceAsyncStub":
        """What verifies keys and tells of their changes."""
        return keys_pb2_grpc.KeyServiceStub(self.keys)

    def shared(self) -> grpc.aio.Channel:
        """To usersvc, for small calls. With traces on, each call has a span and is not batched."""
        return batched(self.users) if self.traces is None else self.users


class Guards:
    """Who may come in, how much of them, and what is remembered of those who may not."""

    def __init__(self, settings: Settings, channels: Channels, log: Logger) -> None:
        tally = RejectionStats(log)
        self.cache: KeyCache[Caller] = KeyCache()
        self.guesses = FailedAuthLimiter(settings.unknown_keys)
        self.gate = AdmissionControl(
            RateLimiter(settings.rate),
            FairSemaphore(settings.max_requests, full, batched_release=True),
            tally,
        )
        self.bodies = Bodies()
        self.worker = ParsingWorker()
        self.memory = ResponseMemory()
        self.pages = PageLimiter(settings.pages, self.bodies, tally)
        self.connections = Connections(
            log, limit=settings.max_connections, of_source=settings.address_connections
        )
        self.heads = Heads()
        self.refusals = RejectionLog(ActivityServiceStub(channels.users), system_clock, log)
        self.authenticator = Authenticator(
            channels.key_stub, self.cache, self.guesses, settings.tenant_urls, system_clock
        )
        self.doorman = EarlyRejector(PREFIX, self.authenticator, self.gate)

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell of them."""
        for each in (
            self.refusals,
            self.gate,
            self.bodies,
            self.heads,
            self.worker,
            self.memory,
            self.connections,
        ):
            each.observe(metrics)


class Assembly:
    """Puts the application together, from the settings and the ways to the services."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        guards: Guards,
        ends: AsyncExitStack,
        log: Logger,
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._guards = guards
        self._ends = ends
        self._log = log

    def application(self, metrics: Metrics) -> web.Application:
        """All that is answered over HTTP, and what of it is counted and traced."""
        settings, channels = self._settings, self._channels
        resources = self._resources()
        cursors = Cursors(settings.cursor_secret, system_clock)
        table = endpoints(resources, cursors, self._log)
        types = [each.resource_type for each in resources.values()]
        app = application(
            self._scim(table),
            lambda: all_serving(channels.users, channels.keys),
            [
                page(document(table.routes(), types, settings.tenant_url)),
                *routes(self._single_sign_on(), self._sign_in, self._guards.pages, self._log),
                *self._portal(),
            ],
        )
        if settings.proxies:
            behind(app, settings.proxies)
        if settings.admin is not None:
            measure(app, PREFIX, metrics)
            self._guards.cache.observe(metrics)
            self._guards.observe(metrics)
        if channels.traces is not None:
            trace(app, PREFIX, channels.traces)
        return app

    def _resources(self) -> Mapping[str, Resources]:
        users, shared = self._channels.users, self._channels.shared()
        return {
            "Users": Users(UserClient(users, shared)),
            "Groups": Groups(GroupClient(users, shared)),
        }

    def _scim(self, table: Table) -> ScimEndpoint:
        return ScimEndpoint(
            table,
            self._guards.authenticator,
            ResourceTypes(SchemaClient(self._channels.users)),
            self._settings.tenant_url,
            log=self._log,
            refusals=self._guards.refusals,
            gate=self._guards.gate,
            bodies=self._guards.bodies,
            worker=self._guards.worker,
            memory=self._guards.memory,
        )

    def _portal(self) -> list[web.RouteDef]:
        settings, channels = self._settings, self._channels
        clients = portal_clients(channels.users, channels.keys)
        pages = portal(
            clients, settings.tenant_url, settings.region, settings.cursor_secret, system_clock
        )
        return portal_routes(pages, self._guards.pages, self._log)

    @property
    def _sign_in(self) -> PageRenderer:
        return PageRenderer(form_action(self._settings.public_url))

    def _single_sign_on(self) -> SingleSignOn | None:
        """Single sign-on, where there is a key for it."""
        settings, channels = self._settings, self._channels
        if settings.saml is None:
            self._log.info("single sign-on disabled", missing_setting="GATEWAY_SAML_KEY")
            return None
        worker = XmlWorker()
        self._ends.callback(worker.close)
        saml = settings.saml
        return SingleSignOn(
            read_service_provider(settings.public_url, saml.key, saml.certificate),
            ServiceClient(channels.users, channels.keys),
            pending=PendingSignIns(settings.cursor_secret),
            cookies=Cookies.of(settings.public_url, settings.region),
            renderer=self._sign_in,
            worker=worker,
            clock=system_clock,
        )


@asynccontextmanager
async def _behind_requests(
    channels: Channels, guards: Guards, log: Logger, tasks: Supervisor
) -> AsyncIterator[None]:
    """What goes on beside the requests, and after the last of them: the log of what was refused."""
    drained = asyncio.Event()
    watch = tasks.start(
        "key watch", lambda: follow(channels.key_stub, log, guards.cache, guards.guesses)
    )
    writer = tasks.start("refusal log", lambda: guards.refusals.write(drained), drain_event=drained)
    try:
        yield
    finally:
        await watch.end()
        await writer.end()


if __name__ == "__main__":
    main()
