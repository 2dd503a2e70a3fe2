"""Clients that send too much: unfinished request bodies over HTTP/1.1 and HTTP/2."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from gateway.api.app import PREFIX
from tests.support.edge.envoys import Edge
from tests.support.waiting import pace

PATH = f"{PREFIX}/Users"
BODY = 1_000_000
_FRAME_SIZE = 16_384
"""The largest frame payload that every HTTP/2 server accepts (RFC 9113 section 4.2)."""
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _WINDOW_UPDATE = 0, 1, 3, 4, 8
_ACK = 1
_END_HEADERS = 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WINDOW = 65_535

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Flood = Callable[[Edge, int, "Pace"], Awaitable[None]]


class Pace:
    """A limit on the bytes per second that all clients send together."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._free_at = 0.0

    async def wait(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / self._rate
        await pace(self._free_at - now)


async def connect(edge: Edge, protocol: str) -> Connection:
    """A connection that speaks the protocol, `h2` or `http/1.1`."""
    context = edge.context()
    context.set_alpn_protocols([protocol])
    return await asyncio.open_connection(
        "127.0.0.1", edge.port, ssl=context, server_hostname=edge.host
    )


async def over_http_1(edge: Edge, bodies: int, pace: Pace) -> None:
    """Send each body on its own connection, after the request heads of all connections."""
    connections = [await connect(edge, "http/1.1") for _ in range(bodies)]
    for _, writer in connections:
        writer.write(_head(edge, BODY + 1))
    await asyncio.gather(*(_send(writer, pace) for _, writer in connections))
    for _, writer in connections:
        writer.transport.abort()


def _head(edge: Edge, length: int) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", f"Host: {edge.host}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


async def _send(writer: asyncio.StreamWriter, pace: Pace) -> None:
    with suppress(ConnectionError):
        for _ in range(BODY // _FRAME_SIZE):
            writer.write(b" " * _FRAME_SIZE)
            await pace.wait(_FRAME_SIZE)
            await writer.drain()


async def over_http_2(edge: Edge, bodies: int, pace: Pace) -> None:
    """Send 100 bodies on each connection: the lowest stream limit that RFC 9113 6.5.2 advises."""
    await asyncio.gather(*(_Multiplexed(edge, pace).send(100) for _ in range(bodies // 100)))


async def settings_of(edge: Edge) -> dict[int, int]:
    """The SETTINGS that the edge sends to an HTTP/2 client (RFC 9113 section 6.5.2)."""
    reader, writer = await connect(edge, "h2")
    writer.write(_PREFACE + _frame(_SETTINGS, 0))
    frame = await _read(reader)
    writer.transport.abort()
    assert frame.kind == _SETTINGS
    return dict(struct.iter_unpack(">HI", frame.payload))


@dataclass(frozen=True, slots=True)
class _Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


async def _read(reader: asyncio.StreamReader) -> _Frame:
    head = await reader.readexactly(9)
    payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
    return _Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)


def _frame(kind: int, stream: int, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _fields(edge: Edge) -> bytes:
    """The header fields as literals without indexing (RFC 7541 section 6.2.2)."""
    fields = {":method": "POST", ":scheme": "https", ":path": PATH, ":authority": edge.host}
    return b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )


class _Multiplexed:
    """Streams of one connection, each with a body, within the edge's flow-control windows."""

    def __init__(self, edge: Edge, pace: Pace) -> None:
        self._edge = edge
        self._pace = pace
        self._unsent: dict[int, int] = {}
        self._windows: dict[int, int] = {0: _WINDOW}
        self._window_changed = asyncio.Event()

    async def send(self, streams: int) -> None:
        """Send all bodies, but no END_STREAM. Stop early if the edge closes the connection."""
        reader, writer = await connect(self._edge, "h2")
        writer.write(_PREFACE + _frame(_SETTINGS, 0))
        for stream in range(1, 2 * streams, 2):
            self._unsent[stream], self._windows[stream] = BODY, _WINDOW
            writer.write(_frame(_HEADERS, stream, _fields(self._edge), _END_HEADERS))
        receiving = asyncio.create_task(self._receive(reader, writer))
        with suppress(ConnectionError):
            for turn in count():
                if not self._unsent:
                    break
                await self._send_frame(writer, [*self._unsent][turn % len(self._unsent)])
        receiving.cancel()
        writer.transport.abort()

    async def _send_frame(self, writer: asyncio.StreamWriter, stream: int) -> None:
        size = min(_FRAME_SIZE, self._unsent[stream], self._windows[stream], self._windows[0])
        if size <= 0:
            self._window_changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._window_changed.wait(), 0.05)
            return
        writer.write(_frame(_DATA, stream, b" " * size))
        self._windows[0] -= size
        self._windows[stream] -= size
        self._unsent[stream] -= size
        if not self._unsent[stream]:
            del self._unsent[stream]
        await self._pace.wait(size)
        await writer.drain()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                frame = await _read(reader)
                if frame.kind == _WINDOW_UPDATE:
                    self._windows[frame.stream] += int.from_bytes(frame.payload, "big")
                elif frame.kind == _SETTINGS and not frame.flags & _ACK:
                    writer.write(_frame(_SETTINGS, 0, flags=_ACK))
                elif frame.kind in (_RST_STREAM, _HEADERS):
                    self._unsent.pop(frame.stream, None)
                self._window_changed.set()
        self._unsent.clear()
