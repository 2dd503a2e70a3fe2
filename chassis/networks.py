"""Networks of client addresses. Limits apply to networks, not to single addresses."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

HOST_BITS: Final = 64
SITE_BITS: Final = 48


@dataclass(frozen=True, slots=True)
class ClientNetwork:
    """The network of a client, at two levels.

    An IPv6 client can use all addresses of at least a /64, and a site commonly has a /48 (RFC
    6177), so a limit on single addresses would not limit an IPv6 client. An IPv4 address is its own
    network at both levels.
    """

    host: str
    """The IPv4 address, or the IPv6 /64."""
    site: str
    """The IPv4 address, or the IPv6 /48."""


def network_of(address: str) -> ClientNetwork:
    """The network of an address. Text that is not an address is its own network."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ClientNetwork(address, address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, IPv4Address):
        return ClientNetwork(str(parsed), str(parsed))
    return ClientNetwork(_prefix(parsed, HOST_BITS), _prefix(parsed, SITE_BITS))


def _prefix(address: IPv6Address, bits: int) -> str:
    shift = 128 - bits
    return str(ip_network((int(address) >> shift << shift, bits)))
