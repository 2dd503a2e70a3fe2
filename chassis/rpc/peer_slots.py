"""Limits on concurrent calls: in total, for each host and for each connection."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

from chassis.errors import OVERLOADED, Refusal
from chassis.networks import network_of


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum of concurrent calls: of all clients, of one host, and on one connection."""

    total: int
    host: int
    connection: int


class PeerSlots:
    """Slots for calls, of which one client gets only a share.

    The address identifies the host of a client, and address and port its connection. An IPv6 host
    is its /64 network.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._hosts: Counter[str] = Counter()
        self._connections: Counter[str] = Counter()
        self._in_use = 0

    @contextmanager
    def slot(self, peer: str) -> Iterator[None]:
        """Hold a slot for a call until the block ends. Refuses OVERLOADED.

        `peer` identifies the client in gRPC's form: `ipv4:192.0.2.1:5000`.
        """
        host = host_of(peer)
        if (
            self._in_use >= self._limits.total
            or self._hosts[host] >= self._limits.host
            or self._connections[peer] >= self._limits.connection
        ):
            raise Refusal(OVERLOADED)
        self._count(host, peer, 1)
        try:
            yield
        finally:
            self._count(host, peer, -1)

    def _count(self, host: str, peer: str, number: int) -> None:
        self._in_use += number
        for counts, name in ((self._hosts, host), (self._connections, peer)):
            counts[name] += number
            if not counts[name]:
                del counts[name]


def host_of(peer: str) -> str:
    """The host of a client in gRPC's form; for IPv6, its /64 network."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return kind  # Unix sockets: one client
    return network_of(unquote(rest).rpartition(":")[0].strip("[]")).host
