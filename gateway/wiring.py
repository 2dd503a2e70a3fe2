"""Assembles the gateway: channels, limits, the application and its background tasks."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import grpc
from aiohttp import web
from cloudacademy.keys.v1 import domains_pb2_grpc, keys_pb2_grpc
from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceStub

from chassis import process
from chassis.clock import system_clock
from chassis.concurrency.fair_semaphore import FairSemaphore
from chassis.concurrency.supervisor import Supervisor
from chassis.concurrency.waiting import work_until_event
from chassis.observability import log
from chassis.observability.admin import admin_port
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from chassis.observability.tracing import Tracing, tracing
from chassis.rpc.certificates import Certificates
from gateway.api.app import PREFIX, ScimEndpoint, application
from gateway.api.endpoints import Resources, endpoints
from gateway.api.groups import Groups
from gateway.api.query.cursors import Cursors
from gateway.api.query.walks import Walks
from gateway.api.resource_types import ResourceTypes
from gateway.api.routing import RouteTable
from gateway.api.users import Users
from gateway.auth.authenticator import Authenticator, Caller
from gateway.auth.failed_auth import FailedAuthLimiter
from gateway.auth.key_cache import KeyCache, watch_keys
from gateway.backend.client import (
    KEYSVC,
    USERSVC,
    UserClient,
    batch_channel,
    key_channel,
    user_channel,
)
from gateway.backend.groups import GroupClient
from gateway.backend.organization_names import OrganizationNames
from gateway.backend.peers import Peer, Peers
from gateway.backend.portal import portal_clients
from gateway.backend.schemas import SchemaClient
from gateway.backend.walks import WalkClient
from gateway.domain_proofs.checker import DomainChecker
from gateway.http.body import BodyMemory
from gateway.http.client_address import trust_proxies
from gateway.http.compute_worker import ComputeWorker
from gateway.http.connections import Connections
from gateway.http.heads import HeadMemory
from gateway.http.response_memory import ResponseMemory
from gateway.http.server import DRAIN_SECONDS, Runner
from gateway.http.telemetry import measure, trace
from gateway.limits.admission import AdmissionControl
from gateway.limits.rate_limiter import RateLimiter
from gateway.limits.rejections import RejectionStats, no_slot
from gateway.openapi.document import document
from gateway.openapi.page import page
from gateway.outbound.clients import outbound_clients
from gateway.portal.routes import portal, portal_routes
from gateway.provisioning_log.writer import RefusalLog
from gateway.settings import Settings
from gateway.signing.region_keys import labels, settings_digest
from gateway.sso.pending import PendingSignIns
from gateway.sso.provider import read_service_provider
from gateway.sso.renderer import PageRenderer, form_action
from gateway.sso.services import ServiceClient
from gateway.sso.views import SingleSignOn, routes
from gateway.sso.xml_worker import XmlWorker
from gateway.web.cookies import Cookies
from gateway.web.csrf import FormTokens
from gateway.web.page_limits import PageLimiter


async def serve(settings: Settings, stop: process.Stop) -> None:
    """Create all objects, serve, and drain at the end."""
    logger = log.configure("gateway", settings.log_level)
    settings = _with_allowed_connections(settings, logger)
    certificates = Certificates(settings.tls, logger) if settings.tls else None
    async with (
        tracing("gateway") as traces,
        Supervisor(logger) as tasks,
        user_channel(
            settings.usersvc, certificates, traces, tasks, region=settings.region
        ) as users,
        key_channel(settings.keysvc, certificates, traces, tasks, region=settings.region) as keys,
        AsyncExitStack() as exit_stack,
    ):
        channels, metrics = Channels(users, keys, traces), Metrics()
        guards = Guards(settings, channels, logger)
        exit_stack.callback(guards.worker.close)
        outbound = await exit_stack.enter_async_context(
            outbound_clients(settings.outbound, urlsplit(settings.public_url).hostname or "")
        )
        checker = DomainChecker(
            domains_pb2_grpc.DomainServiceStub(keys), outbound.txt_lookups, logger
        )
        peers = _peers(settings, channels, logger, metrics)
        assembly = Assembly(settings, channels, guards, checker, exit_stack=exit_stack, log=logger)
        app = assembly.application(metrics, peers)
        tasks.observe(metrics)
        outbound.observe(metrics)
        checker.observe(metrics)
        exit_stack.enter_context(admin_port(settings.admin, metrics, {}, logger))
        runner = Runner(app, logger, guards.connections, heads=guards.heads, tasks=tasks)
        await peers.attempt(certificates)
        tasks.start("clock comparison", peers.run)
        tasks.start("domain checks", checker.run)
        async with _background_tasks(channels, guards, assembly.resource_types, logger, tasks):
            try:
                await runner.listen(settings.listen)
                await work_until_event(stop, peers.verify(certificates))
            finally:
                logger.info("draining", limit_seconds=DRAIN_SECONDS)
                await runner.cleanup()
    logger.info("stopped")


def _with_allowed_connections(settings: Settings, log: Logger) -> Settings:
    """The settings with the number of connections for which there are file descriptors."""
    wanted = settings.max_connections
    allowed = process.allow_connections(wanted)
    if allowed < wanted:
        log.warning("connections limited", allowed=allowed, wanted=wanted)
    return replace(settings, max_connections=allowed)


def _peers(settings: Settings, channels: "Channels", log: Logger, metrics: Metrics) -> Peers:
    """The comparison with the services, and the published digests of the shared settings."""
    digests = settings.shared_digests()
    metrics.info("shared_settings", "Digests of settings that all gateways must share.", digests)
    log.info("shared settings", **digests)
    keys = labels(settings.keys.fingerprints())
    metrics.infos("signing_key", "Fingerprints of the keys that sign or are accepted.", keys)
    for key in keys:
        log.info("signing key", **key)
    peers = Peers(
        [
            Peer(USERSVC, settings.usersvc, channels.users),
            Peer(KEYSVC, settings.keysvc, channels.keys),
        ],
        settings.region,
        settings_digest("".join(digests.values())),
        clock=system_clock,
        log=log,
    )
    peers.observe(metrics)
    return peers


@dataclass(frozen=True, slots=True)
class Channels:
    """The gRPC channels to the services."""

    users: grpc.aio.Channel
    keys: grpc.aio.Channel
    traces: Tracing | None

    @property
    def key_stub(self) -> "keys_pb2_grpc.KeyServiceAsyncStub":
        """The client of KeyService, which verifies keys and streams their changes."""
        return keys_pb2_grpc.KeyServiceStub(self.keys)

    def shared(self) -> grpc.aio.Channel:
        """The channel to usersvc for small calls. With tracing, calls are not batched."""
        return batch_channel(self.users) if self.traces is None else self.users


class Guards:
    """The protections of the gateway: authentication, limits, and the log of refused requests."""

    def __init__(self, settings: Settings, channels: Channels, log: Logger) -> None:
        stats = RejectionStats(log)
        self.cache: KeyCache[Caller] = KeyCache()
        self.failed_auth = FailedAuthLimiter(settings.unknown_keys)
        self.admission = AdmissionControl(
            RateLimiter(settings.rate),
            FairSemaphore(settings.max_requests, no_slot, batched_release=True),
            stats,
        )
        self.bodies = BodyMemory()
        self.worker = ComputeWorker()
        self.memory = ResponseMemory()
        self.pages = PageLimiter(settings.pages, self.bodies, stats)
        self.connections = Connections(
            log, limit=settings.max_connections, per_source=settings.address_connections
        )
        self.heads = HeadMemory()
        self.refusal_log = RefusalLog(ActivityServiceStub(channels.users), system_clock, log)
        self.authenticator = Authenticator(
            channels.key_stub, self.cache, self.failed_auth, settings.tenant_urls, system_clock
        )

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        for component in (
            self.refusal_log,
            self.admission,
            self.bodies,
            self.heads,
            self.worker,
            self.memory,
            self.connections,
        ):
            component.observe(metrics)


class Assembly:
    """Builds the application from the settings and the channels."""

    def __init__(
        self,
        settings: Settings,
        channels: Channels,
        guards: Guards,
        domain_checker: DomainChecker,
        *,
        exit_stack: AsyncExitStack,
        log: Logger,
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._guards = guards
        self._domain_checker = domain_checker
        self._exit_stack = exit_stack
        self._log = log
        self.resource_types = ResourceTypes(
            SchemaClient(channels.users), settings.schema_cache_mib * 1024 * 1024
        )

        self._organization_names = OrganizationNames(
            keys_pb2_grpc.OrganizationServiceStub(channels.keys)
        )

    def application(self, metrics: Metrics, peers: Peers) -> web.Application:
        """The HTTP application, with metrics and traces if they are enabled."""
        settings, channels = self._settings, self._channels
        resources = self._resources()
        cursors = Cursors(settings.keys.shared, system_clock)
        walks = Walks(WalkClient(channels.shared()))
        table = endpoints(resources, cursors, walks, self._log)
        types = [each.resource_type for each in resources.values()]
        app = application(
            self._scim(table),
            lambda: peers.is_ready,
            [
                page(document(table.routes(), types, settings.tenant_url)),
                *routes(self._single_sign_on(), self._sso_renderer, self._guards.pages, self._log),
                *self._portal(),
            ],
        )
        if settings.proxies:
            trust_proxies(app, settings.proxies)
        if settings.admin is not None:
            measure(app, PREFIX, metrics)
            self._guards.cache.observe(metrics)
            self.resource_types.observe(metrics)
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

    def _scim(self, table: RouteTable) -> ScimEndpoint:
        return ScimEndpoint(
            table,
            self._guards.authenticator,
            self.resource_types,
            self._settings.tenant_url,
            log=self._log,
            refusal_log=self._guards.refusal_log,
            admission=self._guards.admission,
            bodies=self._guards.bodies,
            worker=self._guards.worker,
            memory=self._guards.memory,
        )

    def _portal(self) -> list[web.RouteDef]:
        settings, channels = self._settings, self._channels
        clients = portal_clients(channels.users, channels.keys, self._organization_names)
        pages = portal(
            clients,
            self._domain_checker,
            tenant_url=settings.tenant_url,
            region=settings.region,
            secrets=settings.keys.shared,
            clock=system_clock,
        )
        return portal_routes(pages, self._guards.pages, self._log)

    @property
    def _sso_renderer(self) -> PageRenderer:
        return PageRenderer(form_action(self._settings.public_url))

    def _single_sign_on(self) -> SingleSignOn | None:
        """Single sign-on; None if the settings have no key for it."""
        settings, channels = self._settings, self._channels
        if settings.keys.saml is None:
            self._log.info("single sign-on disabled", missing_setting="GATEWAY_SAML_KEY")
            return None
        worker = XmlWorker()
        self._exit_stack.callback(worker.close)
        saml = settings.keys.saml
        return SingleSignOn(
            read_service_provider(settings.public_url, saml.key, saml.certificate),
            ServiceClient(channels.users, channels.keys, self._organization_names),
            pending=PendingSignIns(settings.keys.shared),
            cookies=Cookies.of(settings.public_url, settings.region),
            form_tokens=FormTokens(settings.keys.shared),
            renderer=self._sso_renderer,
            worker=worker,
            clock=system_clock,
        )


@asynccontextmanager
async def _background_tasks(
    channels: Channels,
    guards: Guards,
    resource_types: ResourceTypes,
    log: Logger,
    tasks: Supervisor,
) -> AsyncIterator[None]:
    """Run the watches and the log of refused requests until the last request is done."""
    drained = asyncio.Event()
    key_watch = tasks.start(
        "key watch", lambda: watch_keys(channels.key_stub, log, guards.cache, guards.failed_auth)
    )
    schema_watch = tasks.start("schema watch", lambda: resource_types.watch(log))
    writer = tasks.start(
        "refusal log", lambda: guards.refusal_log.write(drained), drain_event=drained
    )
    try:
        yield
    finally:
        await key_watch.end()
        await schema_watch.end()
        await writer.end()
