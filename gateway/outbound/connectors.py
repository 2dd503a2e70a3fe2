"""How HTTPS requests reach a host: directly, or through the region's proxy."""

import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from chassis.config.settings import Address
from gateway.outbound.address_rule import IpAddress
from gateway.outbound.errors import OutboundError, OutboundReason
from gateway.outbound.hosts import Hosts
from gateway.outbound.settings import HTTPS_PORT
from gateway.outbound.target import Target

CONNECT_SECONDS: Final = 4.0
"""The time limit for connecting to one address, TLS included."""
MAX_PROXY_ATTEMPTS: Final = 3
"""The maximum number of addresses of a host that are tried through the proxy."""


@dataclass(frozen=True, slots=True)
class Message:
    """The parts of a request that are the same on every route."""

    method: str
    headers: Mapping[str, str]
    body: bytes | None


class Route(ABC):
    """Sends requests to checked addresses. Connections are not kept for later requests."""

    def __init__(self, connector: aiohttp.TCPConnector) -> None:
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,  # `decompression` limits the decompressed size
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    @abstractmethod
    def send(
        self, target: Target, message: Message
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send a request; the response is valid until the context ends."""


class DirectRoute(Route):
    """Connects to the host, whose addresses are checked when resolved and when connecting."""

    def __init__(self, hosts: Hosts, context: ssl.SSLContext) -> None:
        super().__init__(
            aiohttp.TCPConnector(
                ssl=context,
                resolver=_CheckedResolver(hosts),
                use_dns_cache=False,
                force_close=True,
                limit=0,  # `slots` has the limits
                socket_factory=lambda info: hosts.rule.socket_for(info[0], info[4], HTTPS_PORT),
            )
        )

    @asynccontextmanager
    async def send(self, target: Target, message: Message) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request to the host."""
        async with self._session.request(
            message.method,
            target.url,
            headers=message.headers,
            data=message.body,
            allow_redirects=False,
        ) as response:
            yield response


class ProxyRoute(Route):
    """Connects through the region's HTTP proxy (CONNECT).

    The host is resolved and checked here, and the proxy is asked to connect to the address, not to
    the name: a proxy that resolved the name again could reach another address. The name is still
    in the TLS handshake, where a proxy can read it. The proxy's own address is the operator's
    choice, so the address rule does not apply to it.
    """

    def __init__(self, hosts: Hosts, context: ssl.SSLContext, proxy: Address) -> None:
        super().__init__(aiohttp.TCPConnector(ssl=context, force_close=True, limit=0))
        self._hosts = hosts
        self._proxy = f"http://{proxy}"

    @asynccontextmanager
    async def send(self, target: Target, message: Message) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request to the first address to which the proxy connects."""
        response = await self._first_response(target, message)
        async with response:
            yield response

    async def _first_response(self, target: Target, message: Message) -> aiohttp.ClientResponse:
        addresses = await self._hosts.addresses(target.host, target.port, HTTPS_PORT)
        for address in addresses[:MAX_PROXY_ATTEMPTS]:
            try:
                return await self._request(target, address, message)
            except (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError):
                continue  # nothing has been sent to the host
        raise OutboundError(
            OutboundReason.PROXY_FAILED, f"the proxy does not connect to {target.host}"
        )

    async def _request(
        self, target: Target, address: IpAddress, message: Message
    ) -> aiohttp.ClientResponse:
        return await self._session.request(
            message.method,
            target.url.with_host(str(address)),
            headers={**message.headers, "Host": target.url.raw_authority},
            data=message.body,
            allow_redirects=False,
            proxy=self._proxy,
            server_hostname=target.host,
        )


class _CheckedResolver(AbstractResolver):
    """Gives aiohttp the checked addresses of a host."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._hosts.addresses(host, port, HTTPS_PORT)
        return [_result(host, port, address) for address in addresses]

    async def close(self) -> None:
        pass


def _result(host: str, port: int, address: IpAddress) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=str(address),
        port=port,
        family=socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
