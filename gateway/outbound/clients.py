"""The clients of outgoing traffic, which share a resolver, the address rule and a TLS context."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.observability.metrics import Metrics
from gateway.outbound.address_rule import AddressRule
from gateway.outbound.connectors import DirectRoute, ProxyRoute
from gateway.outbound.hosts import Hosts
from gateway.outbound.https import HttpsClient
from gateway.outbound.resolver import Resolver, TxtLookups
from gateway.outbound.settings import OutboundSettings
from gateway.outbound.slots import OutboundSlots
from gateway.outbound.smtp import MailConnector
from gateway.outbound.telemetry import OutboundMetrics
from gateway.outbound.tls import client_context


@dataclass(frozen=True, slots=True)
class OutboundClients:
    """Everything that may connect to hosts outside the region."""

    https: HttpsClient
    txt_lookups: TxtLookups
    mail: MailConnector | None
    """None without a mail server in the settings."""
    slots: OutboundSlots
    metrics: OutboundMetrics

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        self.metrics.observe(metrics)
        metrics.gauge(
            "http_client_active_requests",
            "Outgoing HTTPS requests and TXT lookups in progress.",
            lambda: self.slots.in_use,
        )


@asynccontextmanager
async def outbound_clients(
    settings: OutboundSettings, client_name: str
) -> AsyncIterator[OutboundClients]:
    """Create the clients; raises StartError if a file of the settings cannot be used.

    `client_name` is the host name of the region, which is sent to the mail server.
    """
    metrics, slots = OutboundMetrics(), OutboundSlots()
    rule = AddressRule(settings.allow_loopback)
    resolver = Resolver(settings, metrics)
    hosts = Hosts(resolver, rule)
    context = client_context(settings.authority)
    route = (
        DirectRoute(hosts, context)
        if settings.proxy is None
        else ProxyRoute(hosts, context, settings.proxy)
    )
    mail = None
    if settings.mail_server is not None:
        mail = MailConnector(settings.mail_server, client_name, hosts, context, metrics)
    try:
        yield OutboundClients(
            HttpsClient(route, rule, slots, metrics),
            TxtLookups(resolver, slots),
            mail,
            slots,
            metrics,
        )
    finally:
        await route.close()
