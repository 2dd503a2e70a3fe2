"""A service whose replicas clients find by a name in DNS."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from deploy.local.ports import free_port
from tests.support.chassis.name_servers import NameServer, name_server
from tools.chaos.proxy import Proxy

FIRST_HOST = 2
"""The last byte of the first replica's address: 127.0.0.2."""


class NamedService:
    """A name server for one name, and a proxy in front of each replica.

    The proxies have one port and different loopback addresses, as pods have.
    """

    def __init__(self, name: str, names: NameServer, proxies: Sequence[Proxy]) -> None:
        self._names = names
        self._moves = 0
        self.proxies = proxies
        self.target = f"dns://127.0.0.1:{names.port}/{name}:{proxies[0].port}"
        """The name as gRPC resolves it, with this name server."""

    def forget_name(self) -> None:
        """Answer that the name does not exist (NXDOMAIN)."""
        self._names.knows_name = False

    def publish_name(self) -> None:
        """Answer with the current addresses."""
        self._names.addresses = [proxy.host for proxy in self.proxies]
        self._names.knows_name = True

    async def move(self) -> None:
        """Close all connections, and serve at other addresses, which are not published yet."""
        self._moves += 1
        await asyncio.gather(*(proxy.stop() for proxy in self.proxies))
        for proxy, host in zip(self.proxies, _hosts(len(self.proxies), self._moves), strict=True):
            proxy.host = host
            await proxy.start()


@asynccontextmanager
async def named_service(name: str, replica_ports: Sequence[int]) -> AsyncIterator[NamedService]:
    """Publish a name for replicas on this machine until the end of the block."""
    port = free_port()
    hosts = _hosts(len(replica_ports), 0)
    proxies = [
        Proxy(("127.0.0.1", replica), host=host, port=port)
        for replica, host in zip(replica_ports, hosts, strict=True)
    ]
    async with AsyncExitStack() as stack:
        for proxy in proxies:
            await proxy.start()
            stack.push_async_callback(proxy.stop)
        names = await stack.enter_async_context(name_server(*hosts))
        yield NamedService(name, names, proxies)


def _hosts(number: int, moves: int) -> list[str]:
    first = FIRST_HOST + moves * number
    return [f"127.0.0.{first + index}" for index in range(number)]
