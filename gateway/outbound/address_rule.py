"""The address rule: which addresses outgoing connections may use.

The networks are listed here, because `ipaddress.is_global` differs between Python versions. Source:
the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890).
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from gateway.outbound.errors import OutboundError, OutboundReason

IpAddress = IPv4Address | IPv6Address

IPV4_REFUSED: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by carriers; pods and nodes of some clusters
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local; metadata services of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved; broadcast
        ),
    )
)
IPV6_PUBLIC: Final = IPv6Network("2000::/3")
"""The only range from which IANA assigns unicast addresses; all others are refused."""
IPV6_REFUSED: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, among them Teredo
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_6TO4: Final = IPv6Network("2002::/16")


def is_public(address: IpAddress) -> bool:
    """Whether an address belongs to a host on the internet.

    An IPv6 address that contains an IPv4 address (IPv4-mapped, NAT64 by RFC 6052, 6to4) is public
    if the IPv4 address is.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in IPV4_REFUSED)
    embedded = embedded_ipv4(address)
    if embedded is not None:
        return is_public(embedded)
    return address in IPV6_PUBLIC and not any(address in network for network in IPV6_REFUSED)


def is_loopback(address: IpAddress) -> bool:
    """Whether an address is a loopback address, IPv4-mapped ones included."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address contains, by the prefixes that define one."""
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(address.packed[12:])
    if address in _6TO4:
        return IPv4Address(address.packed[2:6])
    return None


@dataclass(frozen=True, slots=True)
class AddressRule:
    """The rule for all outgoing connections: public addresses and one port.

    With `allow_loopback`, which is for development, loopback addresses are permitted, too, with any
    port.
    """

    allow_loopback: bool = False

    def check(self, address: IpAddress, port: int, permitted_port: int) -> None:
        """Refuse (ADDRESS_REFUSED) an address or a port to which nothing may connect."""
        if self.allow_loopback and is_loopback(address):
            return
        if not is_public(address):
            raise _refusal(f"{address} is not a public address")
        if port != permitted_port:
            raise _refusal(f"port {port} is not {permitted_port}")

    def socket_for(
        self, family: int, socket_address: tuple[object, ...], permitted_port: int
    ) -> socket.socket:
        """A new socket for a connection to `socket_address`, after a check of the address.

        The address must be numeric: a name would be resolved again, perhaps to another address.
        """
        host, target_port = socket_address[:2]
        self.check(parse_address(str(host)), int(str(target_port)), permitted_port)
        created = socket.socket(family, socket.SOCK_STREAM)
        created.setblocking(False)
        return created


def parse_address(text: str) -> IpAddress:
    """An address from its text; refuses (ADDRESS_REFUSED) names and addresses with a zone."""
    try:
        address = ip_address(text)
    except ValueError:
        raise _refusal("the host was not resolved") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise _refusal(f"{address} is not a public address")
    return address


def _refusal(text: str) -> OutboundError:
    return OutboundError(OutboundReason.ADDRESS_REFUSED, text)
