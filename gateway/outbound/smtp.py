"""Connections to the region's mail server."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv6Address
from typing import Final

import aiosmtplib

from gateway.outbound.address_rule import IpAddress
from gateway.outbound.errors import OutboundError, OutboundReason
from gateway.outbound.hosts import Hosts
from gateway.outbound.settings import MailServer
from gateway.outbound.telemetry import OutboundMetrics

CONNECT_SECONDS: Final = 10.0
"""The time limit for opening a connection: DNS, all addresses and TLS included."""
ADDRESS_SECONDS: Final = 4.0
"""The time limit for connecting to one address."""
COMMAND_SECONDS: Final = 30.0
"""The time limit for the response to one command."""


class MailConnector:
    """Opens connections to the mail server, under the address rule, always with TLS.

    `client_name` is the host name that EHLO sends (RFC 5321 section 4.1.1.1).
    """

    def __init__(
        self,
        server: MailServer,
        client_name: str,
        hosts: Hosts,
        context: ssl.SSLContext,
        metrics: OutboundMetrics,
    ) -> None:
        self._server = server
        self._client_name = client_name
        self._hosts = hosts
        self._context = context
        self._metrics = metrics

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """A connection after TLS and EHLO, without a login; it is closed at the end.

        Refuses NAME_NOT_FOUND, DNS_UNAVAILABLE, ADDRESS_REFUSED, CONNECTION_FAILED, TLS_FAILED,
        INVALID_RESPONSE and TIMEOUT.
        """
        client = await self._connected()
        try:
            yield client
        finally:
            client.close()

    async def _connected(self) -> aiosmtplib.SMTP:
        with self._metrics.mail_connection():
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._open()
            except (TimeoutError, aiosmtplib.SMTPTimeoutError):
                raise _failure(OutboundReason.TIMEOUT, "did not respond in time") from None
            except ssl.SSLError:
                raise _failure(OutboundReason.TLS_FAILED, "has no valid certificate") from None
            except aiosmtplib.SMTPException as error:
                raise _smtp_failure(error) from None
            except OSError:
                raise _failure(OutboundReason.CONNECTION_FAILED, "accepts no connection") from None

    async def _open(self) -> aiosmtplib.SMTP:
        address = self._server.address
        addresses = await self._hosts.addresses(address.host, address.port, address.port)
        client = aiosmtplib.SMTP(
            hostname=address.host,
            local_hostname=self._client_name,
            timeout=COMMAND_SECONDS,
            use_tls=self._server.implicit_tls,
            start_tls=not self._server.implicit_tls,
            tls_context=self._context,
            sock=await self._connected_socket(addresses),
        )
        try:
            await client.connect()
            await client.ehlo()
        except BaseException:
            client.close()
            raise
        return client

    async def _connected_socket(self, addresses: Sequence[IpAddress]) -> socket.socket:
        """A socket that is connected to the first address that accepts a connection."""
        for address in addresses[:-1]:
            try:
                return await self._connect(address)
            except OSError:  # TimeoutError is one
                continue
        return await self._connect(addresses[-1])

    async def _connect(self, address: IpAddress) -> socket.socket:
        port = self._server.address.port
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        socket_address = (str(address), port)
        created = self._hosts.rule.socket_for(family, socket_address, port)
        try:
            async with asyncio.timeout(ADDRESS_SECONDS):
                await asyncio.get_running_loop().sock_connect(created, socket_address)
        except BaseException:
            created.close()
            raise
        return created


def _smtp_failure(error: aiosmtplib.SMTPException) -> OutboundError:
    if isinstance(error.__cause__, ssl.SSLError):
        return _failure(OutboundReason.TLS_FAILED, "has no valid certificate")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _failure(OutboundReason.INVALID_RESPONSE, f"responded with {error.code}")
    if isinstance(error, aiosmtplib.SMTPConnectError | aiosmtplib.SMTPServerDisconnected):
        return _failure(OutboundReason.CONNECTION_FAILED, "closed the connection")
    return _failure(OutboundReason.TLS_FAILED, "does not support STARTTLS")


def _failure(reason: OutboundReason, text: str) -> OutboundError:
    return OutboundError(reason, f"the mail server {text}")
