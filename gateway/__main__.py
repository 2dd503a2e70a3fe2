"""`python -m gateway`: settings → channels → app → run."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack

import grpc
from cloudacademy.keys.v1 import keys_pb2_grpc
from cloudacademy.users.v1.activity_pb2_grpc import ActivityServiceStub

from chassis import log, process
from chassis.admin import admin_port
from chassis.certificates import Certificates
from chassis.clock import system_clock
from chassis.metrics import Metrics
from chassis.places import Places
from chassis.tracing import tracing
from gateway import settings as gateway_settings
from gateway.app import PREFIX, ScimEndpoint, application
from gateway.auth import Authenticator, Caller
from gateway.bodies import Bodies
from gateway.buckets import Buckets
from gateway.clients import UserClient, all_serving, key_channel, together, user_channel
from gateway.connections import Connections
from gateway.cursor import Cursors
from gateway.doorman import Doorman
from gateway.forwarded import behind
from gateway.gate import Gate
from gateway.group_client import GroupClient
from gateway.guesses import Guesses
from gateway.http_server import DRAIN_SECONDS, Runner
from gateway.key_cache import KeyCache, follow
from gateway.measurement import measure, trace
from gateway.openapi.document import document
from gateway.openapi.page import page
from gateway.portal.cookies import Cookies
from gateway.portal.gate import PageGate
from gateway.portal.routes import portal, portal_routes
from gateway.portal_clients import portal_clients
from gateway.refusal_log import RefusalLog
from gateway.resource_types import ResourceTypes
from gateway.routes.endpoints import Resources, endpoints
from gateway.routes.groups import Groups
from gateway.routes.users import Users
from gateway.schema_client import SchemaClient
from gateway.settings import Settings
from gateway.sso.pages import Pages, form_action
from gateway.sso.pending import PendingSignIns
from gateway.sso.provider import read_service_provider
from gateway.sso.services import Services
from gateway.sso.views import SingleSignOn, routes
from gateway.sso.worker import Worker
from gateway.turned_away import Tally, full


def main() -> None:
    """Read the settings and serve until told to stop."""
    try:
        process.keep_memory_private()
        settings = gateway_settings.read(os.environ)
    except process.StartError as error:
        sys.exit(f"gateway: {error}")
    process.run(lambda stop: serve(settings, stop))


async def serve(settings: Settings, stop: process.Stop) -> None:
    """Make all collaborators, listen, and drain at the end."""
    logger = log.configure("gateway", settings.log_level)
    certificates = Certificates(settings.tls, logger) if settings.tls else None
    async with (
        tracing("gateway") as traces,
        user_channel(settings.usersvc, certificates, traces) as users,
        key_channel(settings.keysvc, certificates, traces) as keys,
        AsyncExitStack() as ends,
    ):
        key_stub = keys_pb2_grpc.KeyServiceStub(keys)
        cache: KeyCache[Caller] = KeyCache()
        # Each call of a trace is a span of its own, so traced calls go alone.
        shared = together(users) if traces is None else users
        refusals = RefusalLog(ActivityServiceStub(users), system_clock, logger)
        guesses = Guesses(settings.unknown_keys)
        tally = Tally(logger)
        gate = Gate(Buckets(settings.rate), Places(settings.max_requests, full), tally)
        page_gate = PageGate(settings.pages, tally)
        bodies = Bodies()
        connections = Connections(logger, limit=settings.max_connections)
        authenticator = Authenticator(key_stub, cache, guesses, settings.tenant_urls, system_clock)
        doorman = Doorman(PREFIX, authenticator, gate)
        resources: dict[str, Resources] = {
            "Users": Users(UserClient(users, settings.tenant_urls, shared)),
            "Groups": Groups(GroupClient(users, settings.tenant_urls, shared)),
        }
        table = endpoints(resources, Cursors(settings.cursor_secret, system_clock), logger)
        endpoint = ScimEndpoint(
            table,
            authenticator,
            ResourceTypes(SchemaClient(users, settings.tenant_urls)),
            settings.tenant_url,
            log=logger,
            refusals=refusals,
            gate=gate,
            bodies=bodies,
        )
        watch = asyncio.create_task(follow(key_stub, logger, cache, guesses))
        drained = asyncio.Event()
        noting = asyncio.create_task(refusals.write(drained))
        sign_on = single_sign_on(settings, users, keys, ends)
        if sign_on is None:
            logger.info("single sign-on is off: GATEWAY_SAML_KEY is not set")
        types = [each.resource_type for each in resources.values()]
        pages = [
            page(document(table.routes(), types, settings.tenant_url)),
            *routes(sign_on, sign_in_pages(settings), page_gate, logger),
            *portal_routes(
                portal(
                    portal_clients(users, keys, settings.tenant_urls),
                    settings.tenant_url,
                    settings.region,
                    settings.cursor_secret,
                    system_clock,
                ),
                page_gate,
                logger,
            ),
        ]
        app, metrics = application(endpoint, lambda: all_serving(users, keys), pages), Metrics()
        if settings.proxies:
            behind(app, settings.proxies)
        if settings.admin is not None:
            measure(app, PREFIX, cache, metrics)
            for each in (refusals, gate, bodies, connections):
                each.observe(metrics)
        if traces is not None:
            trace(app, PREFIX, traces)
        ends.enter_context(admin_port(settings.admin, metrics, {}, logger))
        runner = Runner(app, logger, connections, doorman.before)
        try:
            await runner.listen(settings.listen)
            await stop.wait()
        finally:
            logger.info("draining", limit_seconds=DRAIN_SECONDS)
            await runner.cleanup()
            watch.cancel()
            drained.set()
            await noting
    logger.info("stopped")


def single_sign_on(
    settings: Settings, users: grpc.aio.Channel, keys: grpc.aio.Channel, ends: AsyncExitStack
) -> SingleSignOn | None:
    """Single sign-on, where there is a key for it."""
    if settings.saml is None:
        return None
    worker = Worker()
    ends.callback(worker.close)
    return SingleSignOn(
        read_service_provider(settings.public_url, settings.saml.key, settings.saml.certificate),
        Services(users, keys, settings.tenant_urls),
        pending=PendingSignIns(settings.cursor_secret),
        cookies=Cookies.of(settings.public_url, settings.region),
        pages=sign_in_pages(settings),
        worker=worker,
        clock=system_clock,
    )


def sign_in_pages(settings: Settings) -> Pages:
    """The pages of a sign-in."""
    return Pages(form_action(settings.public_url))


if __name__ == "__main__":
    main()
