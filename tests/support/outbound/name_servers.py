"""A DNS server on loopback, over UDP and TCP, whose records and faults a test sets."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from chassis.config.settings import Address

TTL = 60


@dataclass
class NameServer:
    """Answers from `records`; other names do not exist."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Record data by name and type: `{("a.test", "A"): ["127.0.0.1"]}`."""
    later: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Records for every query of the name and type after the first one."""
    failing: set[str] = field(default_factory=set)
    """Names for which the answer is SERVFAIL."""
    silent: set[str] = field(default_factory=set)
    """Names for which there is no answer."""
    truncated: bool = False
    """Whether answers over UDP are truncated, so that clients repeat the query over TCP."""
    queries: Counter[tuple[str, str]] = field(default_factory=Counter)
    transports: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The number of queries by transport."""
    port: int = 0

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    def response(self, wire: bytes, transport: str) -> bytes | None:
        """The response to a query; None for none."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries[name, kind] += 1
        self.transports[transport] += 1
        if name in self.silent:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        records = self.records
        if self.queries[name, kind] > 1 and (name, kind) in self.later:
            records = self.later
        if name in self.failing:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif data := records.get((name, kind)):
            response.answer.append(dns.rrset.from_text_list(question.name, TTL, "IN", kind, data))
        elif not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if transport == "udp" and self.truncated:
            response.answer.clear()
            response.flags |= dns.flags.TC
        return response.to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, names: NameServer) -> None:
        self._names = names

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (response := self._names.response(data, "udp")) is not None:
            self._transport.sendto(response, addr)


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """Run a DNS server on a free port."""
    names = NameServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            size = int.from_bytes(await reader.readexactly(2), "big")
            response = names.response(await reader.readexactly(size), "tcp") or b""
            writer.write(len(response).to_bytes(2, "big") + response)
            await writer.drain()
        finally:
            writer.close()

    streams, transport = await _listen(names, serve)
    try:
        yield names
    finally:
        transport.close()
        streams.close()
        await streams.wait_closed()


async def _listen(
    names: NameServer, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]
) -> tuple[asyncio.Server, asyncio.DatagramTransport]:
    """Listen on a port that is free for both transports."""
    while True:
        streams = await asyncio.start_server(serve, "127.0.0.1", 0)
        names.port = streams.sockets[0].getsockname()[1]
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(names), local_addr=("127.0.0.1", names.port)
            )
        except OSError:  # another program has the port for UDP
            streams.close()
            continue
        return streams, transport
