"""The HTTP server; it answers malformed HTTP with a SCIM error document, too."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast
from uuid import uuid4

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from chassis.concurrency.supervisor import Supervisor, Task
from chassis.config.settings import Address
from chassis.observability.log import Logger
from chassis.startup import StartError, redact
from gateway.http.connections import BodyStream, Connection, Connections
from gateway.http.heads import MAX_HEAD_BYTES, TOO_LARGE, HeadMemory, HeadReservation
from gateway.http.responses import error_response, raw_error_response
from gateway.limits.rejections import no_slot
from gateway.scim.errors import ScimError

DRAIN_SECONDS: Final = 10.0
KEEPALIVE_SECONDS: Final = 75.0
MAX_LINE_BYTES: Final = 40 * 1024  # a filter of the greatest length, percent-encoded
MAX_FIELD_BYTES: Final = 8 * 1024
MAX_HEADERS: Final = 100
BACKLOG: Final = 1_024
UNREAD_BYTES: Final = 32 * 1024
"""The bytes that a connection buffers before they are read, in the kernel and again here."""

MAX_SEGMENTS: Final = 64

_TOO_MANY_SEGMENTS: Final = (
    f"The path has more than {MAX_SEGMENTS} segments, so it does not exist. Check the Tenant URL."
)
_UNREADABLE: Final = (
    "The request cannot be read as HTTP: its first line or a header is malformed or too long."
)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Runner(web.AppRunner):
    """Runs an application on its sockets, and drains them at the end."""

    def __init__(
        self,
        app: web.Application,
        log: Logger,
        connections: Connections | None = None,
        *,
        heads: HeadMemory | None = None,
        tasks: Supervisor | None = None,
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=DRAIN_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=MAX_HEADERS,
            read_bufsize=UNREAD_BYTES // 2,  # aiohttp reads up to twice as much
            # A megabyte of gzip can expand to a gigabyte, even if the request is refused unread.
            auto_decompress=False,
        )
        self._log = log
        self._open_connections = connections or Connections(log)
        self._heads = heads or HeadMemory()
        self._tasks = tasks or Supervisor(log)
        self._sweeper: Task | None = None

    async def listen(self, address: Address) -> None:
        """Accept connections and log the address; raises StartError if that is not possible."""
        await self.setup()
        try:
            for listener in await _listeners(address):
                await web.SockSite(self, listener, backlog=BACKLOG).start()
        except OSError as error:
            raise StartError(
                f"cannot listen on {redact(str(address))}: {error.strerror}"
            ) from error
        self._sweeper = self._tasks.start("slow clients", self._open_connections.watch)
        port = self.addresses[0][1]
        self._log.info("listening", address=str(Address(address.host, port)))

    async def cleanup(self) -> None:
        """Drain requests and close all connections."""
        await super().cleanup()
        if self._sweeper is not None:
            await self._sweeper.end()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            self._open_connections,
            self._heads,
            _with_checks(server.request_handler, self._log),
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            **server._kwargs,  # noqa: SLF001 - the settings above, completed by aiohttp
        )


async def _listeners(address: Address) -> list[socket.socket]:
    """The listening sockets of an address; their connections have small receive buffers.

    All received bytes of a connection are parsed in one step, and there are many connections.
    """
    loop = asyncio.get_running_loop()
    resolved = await loop.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners = []
    for family, _, _, _, address_and_port in dict.fromkeys(resolved):
        listener = socket.create_server(address_and_port, family=family, backlog=BACKLOG)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
        listeners.append(listener)
    return listeners


def _with_checks(handler: Handler, log: Logger) -> Handler:
    """Wrap a handler so that it refuses (404) a path of more than MAX_SEGMENTS.

    aiohttp's router removes one segment at a time, which takes quadratic time, and no route has
    more than a few segments.
    """

    async def handled(request: web.BaseRequest) -> web.StreamResponse:
        if request.rel_url.raw_path.count("/") <= MAX_SEGMENTS:
            return await handler(request)
        request_id = uuid4().hex
        log.info("request", method=request.method, endpoint="", status=404, request_id=request_id)
        return error_response(ScimError(404, None, _TOO_MANY_SEGMENTS)).to_http(request_id)

    return handled


class _Server(web.Server):
    def __init__(
        self,
        connections: Connections,
        heads: HeadMemory,
        handler: Handler,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        make_request = settings.pop("request_factory")

        def make(message: Any, body: Any, protocol: Any, *more: Any) -> web.BaseRequest:  # noqa: ANN401
            protocol.head_parsed(message, body)
            return cast(web.BaseRequest, make_request(message, body, protocol, *more))

        super().__init__(handler, request_factory=make, **settings)
        self._open_connections = connections
        self._heads = heads

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self._open_connections, self._heads, self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    """One connection."""

    def __init__(
        self,
        connections: Connections,
        heads: HeadMemory,
        manager: web.Server,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(manager, **settings)
        self._open_connections = connections
        self._connection: Connection | None = None
        self._heads = heads
        self._head = HeadReservation(heads, "")
        self._is_ending = False
        """Whether further bytes are ignored."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection, or reject it (503) because there are too many."""
        writable = cast(asyncio.Transport, transport)
        self._connection = self._open_connections.admit(writable, EMPTY_PAYLOAD)
        if self._connection is None:
            writable.write(_TOO_MANY_CONNECTIONS)
            writable.close()
            return
        self._head = HeadReservation(self._heads, self._connection.source)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended."""
        if self._connection is not None:
            self._open_connections.remove(self._connection)
        self._head.release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the received bytes to the parser."""
        if self._connection is None or self._is_ending or not self._connection.is_open:
            return  # aiohttp parses its buffer even after the connection was aborted
        if data:  # aiohttp calls this without data to continue with its buffer
            self._open_connections.received(self._connection)
            if not self._in_body(self._connection) and (status := self._head.receive(data)):
                self._refuse_head(self._connection, status)
                return
        before = self._connection.body.total_bytes
        super().data_received(data)
        if not data:
            self._connection.parser_resumed(self._connection.body.total_bytes - before)
            self._open_connections.abort_tiny_chunks(self._connection)
        if self._messages:
            # The response to a malformed request ends the connection: ignore all further bytes.
            self._is_ending = not isinstance(self._messages[-1][0], RawRequestMessage)
        if len(self._messages) > 1 and (status := self._head.receive_pipelined(data)):
            self._refuse_head(self._connection, status)
            return
        self._open_connections.parsed(self._connection)

    def _in_body(self, connection: Connection) -> bool:
        """Whether the next bytes belong to a body."""
        if self._messages:  # the head is complete, but the request has not started
            return not self._messages[-1][1].is_eof()
        return not connection.body.is_eof()

    def _refuse_head(self, connection: Connection, status: int) -> None:
        """End a connection that sent too many bytes before its requests were answered."""
        transport = self.transport
        if transport is None:
            return
        self._is_ending = True
        if self._messages or not connection.head_since:  # an earlier request has no response yet
            transport.abort()
            return
        # Not closed yet: a reset would discard the response if the client is still sending.
        transport.write(_HEAD_TOO_LARGE if status == TOO_LARGE else _TOO_MANY_CONNECTIONS)
        transport.write_eof()

    def pause_writing(self) -> None:
        """The client reads more slowly than the gateway writes."""
        super().pause_writing()
        if self._connection is not None:
            self._connection.response_since = self._open_connections.now()
            self._open_connections.sort(self._connection)

    def resume_writing(self) -> None:
        """The client has read enough to continue writing."""
        super().resume_writing()
        if self._connection is not None:
            self._connection.response_since = 0.0
            self._open_connections.sort(self._connection)

    def head_parsed(self, message: RawRequestMessage, body: BodyStream) -> None:
        """The headers of a request are complete."""
        if self._connection is not None:
            now = self._open_connections.now()
            self._connection.head_parsed(body, now, chunked=message.chunked)
            self._open_connections.sort(self._connection)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write a response, and record when that is done."""
        response, reset = await super().finish_response(request, resp, start_time)
        if self._connection is not None:
            self._connection.response_written(self._open_connections.now())
            self._open_connections.sort(self._connection)
            if not self._messages:
                self._head.release()
        return response, reset

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to a malformed request.

        The parser's message is not sent: it may quote the Authorization header.
        """
        request_id = uuid4().hex
        self.logger.warning("malformed request %s: %s", request_id, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("The response has already started.")
        response = error_response(ScimError(status, None, _UNREADABLE)).to_http(request_id)
        response.force_close()
        return response


_TOO_MANY_CONNECTIONS: Final = raw_error_response(no_slot(), Connection="close")
_HEAD_TOO_LARGE: Final = raw_error_response(
    ScimError(
        TOO_LARGE,
        None,
        f"The request has more than {MAX_HEAD_BYTES} bytes of headers; send fewer or shorter ones.",
    ),
    Connection="close",
)
