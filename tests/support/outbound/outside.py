"""Hosts outside the region, on loopback, and the gateway's clients for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chassis.config.settings import CertificateFiles
from gateway.outbound.clients import OutboundClients, outbound_clients
from gateway.outbound.errors import OutboundError, OutboundReason
from gateway.outbound.https import Request
from gateway.outbound.settings import OutboundSettings
from gateway.outbound.telemetry import Purpose
from tests.support.chassis.authorities import Authority
from tests.support.outbound.name_servers import NameServer, name_server

HOST = "receiver.test"
ORGANIZATION = "11111111-1111-1111-1111-111111111111"
OTHER = "22222222-2222-2222-2222-222222222222"


@dataclass
class Outside:
    """A DNS server and a certificate authority, which the clients use."""

    names: NameServer
    authority: Authority
    folder: Path

    def certificate(self, name: str = HOST) -> CertificateFiles:
        """A certificate of the trusted authority."""
        return self.authority.issue(self.folder / name, name)

    @asynccontextmanager
    async def clients(self, **settings: Any) -> AsyncIterator[OutboundClients]:
        """The clients, by default with loopback permitted."""
        trusted = self.folder / "trusted.pem"
        trusted.write_bytes(self.authority.pem)
        values = {
            "nameservers": (self.names.address,),
            "authority": trusted,
            "allow_loopback": True,
        }
        async with outbound_clients(
            OutboundSettings(**{**values, **settings}), "cloudacademy.test"
        ) as clients:
            yield clients


@asynccontextmanager
async def outside(folder: Path) -> AsyncIterator[Outside]:
    """Run the DNS server; HOST has the address 127.0.0.1."""
    async with name_server() as names:
        names.records[HOST, "A"] = ["127.0.0.1"]
        yield Outside(names, Authority(), folder)


def request(url: str, **fields: Any) -> Request:
    """A request of ORGANIZATION."""
    values: dict[str, Any] = {"purpose": Purpose.WEBHOOK, "organization_id": ORGANIZATION}
    return Request(url, **{**values, **fields})


async def refusal(call: Any) -> OutboundReason:
    """The reason for which a call is refused."""
    with pytest.raises(OutboundError) as caught:
        await call
    return caught.value.reason
