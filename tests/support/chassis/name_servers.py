"""A DNS server with one name whose addresses a test can change."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

A_RECORD = 1
FOUND, NOT_FOUND = 0x8580, 0x8583
"""The flags of responses: the second one is NXDOMAIN."""


class NameServer(asyncio.DatagramProtocol):
    """Answers each question for an IPv4 address with all of `addresses` (RFC 1035)."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.knows_name = True
        """Whether the name exists; if not, the response is NXDOMAIN."""
        self.queries = 0
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        question = data[12:end]
        record_type = struct.unpack("!H", question[-4:-2])[0]
        records = b"".join(
            struct.pack("!HHHIH", 0xC00C, A_RECORD, 1, 0, 4) + socket.inet_aton(address)
            for address in (self.addresses if record_type == A_RECORD and self.knows_name else ())
        )
        self.queries += record_type == A_RECORD
        flags = FOUND if self.knows_name else NOT_FOUND
        header = struct.pack("!HHHHH", flags, 1, len(records) // 16, 0, 0)
        assert self._transport is not None
        self._transport.sendto(data[:2] + header + question + records, addr)


@asynccontextmanager
async def name_server(*addresses: str) -> AsyncIterator[NameServer]:
    """Run a DNS server on this machine."""
    loop = asyncio.get_running_loop()
    transport, names = await loop.create_datagram_endpoint(
        lambda: NameServer(*addresses), local_addr=("127.0.0.1", 0)
    )
    try:
        yield names
    finally:
        transport.close()
