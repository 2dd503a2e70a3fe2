"""The addresses of a host, each checked by the address rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from gateway.outbound.address_rule import AddressRule, IpAddress, parse_address
from gateway.outbound.errors import OutboundError
from gateway.outbound.resolver import Resolver

_LOOPBACK: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


@dataclass(frozen=True, slots=True)
class Hosts:
    """Resolves hosts and applies the address rule to the result."""

    resolver: Resolver
    rule: AddressRule

    async def addresses(self, host: str, port: int, permitted_port: int) -> Sequence[IpAddress]:
        """The addresses of a host name, or the address that `host` is.

        Refuses (ADDRESS_REFUSED) a host with any address that the rule refuses: no honest host has
        public and private addresses. `localhost` is resolved without DNS (RFC 6761 section 6.3).
        """
        addresses = await self._resolved(host)
        for address in addresses:
            self.rule.check(address, port, permitted_port)
        return addresses

    async def _resolved(self, host: str) -> Sequence[IpAddress]:
        if host == "localhost":
            return _LOOPBACK
        try:
            return [parse_address(host)]
        except OutboundError:
            return await self.resolver.addresses(host)
