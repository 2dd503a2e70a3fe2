"""The HTTP server: what cannot even be read as HTTP is refused in SCIM's form, too."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, cast
from uuid import uuid4

from aiohttp import web
from aiohttp.hdrs import METH_CONNECT
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from chassis.concurrency.supervisor import Supervisor, Task
from chassis.config.settings import Address
from chassis.observability.log import Logger
from chassis.startup import StartError, redact
from gateway.http.connections import Body, Connection, Connections
from gateway.http.heads import MAX_HEAD_BYTES, TOO_LARGE, Head, Heads
from gateway.http.responses import as_http, error_answer
from gateway.limits.rejections import full
from gateway.scim.errors import ScimError

DRAIN_SECONDS: Final = 10.0
KEEPALIVE_SECONDS: Final = 75.0
MAX_LINE_BYTES: Final = 32 * 1024  # a filter of the greatest length, percent-encoded
MAX_FIELD_BYTES: Final = 8 * 1024
MAX_HEADERS: Final = 100
BACKLOG: Final = 1_024
UNREAD_BYTES: Final = 32 * 1024
"""How much a connection takes in ahead of whoever reads it, in the kernel and once more here."""

MAX_SEGMENTS: Final = 64

_TOO_MANY_SEGMENTS: Final = (
    f"The path has more than {MAX_SEGMENTS} segments; there is nothing. Check the Tenant URL."
)
_UNREADABLE: Final = (
    "The request cannot be read as HTTP: its first line or a header is malformed or too long."
)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ConnectionWatch(Protocol):
    """One connection, as early rejection follows it (gateway.api.early_rejection)."""

    def turned_away(self, data: bytes, *, may_answer: bool = True) -> bytes | None:
        """The whole response to a request that is rejected unparsed; None has it parsed."""

    def asked(self, length: int | None) -> None:
        """The parser has read a head; the length of the body is what it says, None if unknown."""

    def came(self) -> None:
        """An admitted request has reached its handler, or never will."""

    def answered(self) -> None:
        """A response is written."""

    def settle(self, *, nothing_left: bool) -> None:
        """The parser has read what came, or a response is written."""


class EarlyRejection(Protocol):
    """Rejects requests before they are parsed, when there are too many."""

    def visitor(self) -> ConnectionWatch:
        """What follows a new connection."""
        ...


class Runner(web.AppRunner):
    """Runs an application on its sockets and drains them at the end."""

    def __init__(
        self,
        app: web.Application,
        log: Logger,
        connections: Connections | None = None,
        doorman: EarlyRejection | None = None,
        *,
        heads: Heads | None = None,
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
            read_bufsize=UNREAD_BYTES // 2,  # aiohttp goes on up to twice as much
            # A megabyte of gzip is a gigabyte of work, even of a request that is refused unread.
            auto_decompress=False,
        )
        self._log = log
        self._open = connections or Connections(log)
        self._doorman = doorman
        self._heads = heads or Heads()
        self._tasks = tasks or Supervisor(log)
        self._watch: Task | None = None

    async def listen(self, address: Address) -> None:
        """Accept connections, and say in the log where."""
        await self.setup()
        try:
            for listening in await _listening(address):
                await web.SockSite(self, listening, backlog=BACKLOG).start()
        except OSError as error:
            raise StartError(
                f"cannot listen on {redact(str(address))}: {error.strerror}"
            ) from error
        self._watch = self._tasks.start("slow clients", self._open.watch)
        port = self.addresses[0][1]
        self._log.info("listening", address=str(Address(address.host, port)))

    async def cleanup(self) -> None:
        """Let requests end, and close everything."""
        await super().cleanup()
        if self._watch is not None:
            await self._watch.end()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            self._open,
            self._doorman,
            self._heads,
            _telling(server.request_handler, self._log),
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            **server._kwargs,  # noqa: SLF001 - the settings above, as aiohttp completed them
        )


async def _listening(address: Address) -> list[socket.socket]:
    """The sockets of an address, whose connections take in little from their first byte on.

    What has come is parsed in one go, and there are many connections.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listening = []
    for family, _, _, _, place in dict.fromkeys(found):
        one = socket.create_server(place, family=family, backlog=BACKLOG)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
        listening.append(one)
    return listening


def _telling(handler: Handler, log: Logger) -> Handler:
    """The same handler, which tells the connection of a request when it begins.

    It refuses (404) a path of more than MAX_SEGMENTS: aiohttp's router cuts off one segment at a
    time, which takes quadratic time, and no path of ours has more than a few.
    """

    async def handled(request: web.BaseRequest) -> web.StreamResponse:
        cast(_Protocol, request.protocol).came()
        if request.rel_url.raw_path.count("/") <= MAX_SEGMENTS:
            return await handler(request)
        request_id = uuid4().hex
        log.info("request", method=request.method, endpoint="", status=404, request_id=request_id)
        return error_answer(ScimError(404, None, _TOO_MANY_SEGMENTS)).response(request_id)

    return handled


class _Server(web.Server):
    def __init__(
        self,
        connections: Connections,
        doorman: EarlyRejection | None,
        heads: Heads,
        handler: Handler,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        make_request = settings.pop("request_factory")

        def asked(message: Any, body: Any, protocol: Any, *more: Any) -> web.BaseRequest:  # noqa: ANN401
            protocol.asked(message, body)
            return cast(web.BaseRequest, make_request(message, body, protocol, *more))

        super().__init__(handler, request_factory=asked, **settings)
        self._open = connections
        self._doorman = doorman
        self._heads = heads

    def __call__(self) -> web.RequestHandler:
        visitor = self._doorman.visitor() if self._doorman else None
        return _Protocol(self._open, visitor, self._heads, self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    """One connection."""

    def __init__(
        self,
        connections: Connections,
        visitor: ConnectionWatch | None,
        heads: Heads,
        manager: web.Server,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(manager, **settings)
        self._open = connections
        self._visitor = visitor
        self._connection: Connection | None = None
        self._heads = heads
        self._head = Head(heads, "")
        self._ends = False
        """Whether nothing more is read of it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in, or tell it that there are too many."""
        sending = cast(asyncio.Transport, transport)
        self._connection = self._open.admit(sending, EMPTY_PAYLOAD)
        if self._connection is None:
            sending.write(_TOO_MANY)
            sending.close()
            return
        self._head = Head(self._heads, self._connection.source)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client has gone, or was cut off."""
        if self._connection is not None:
            self._open.forget(self._connection)
        self._head.release()
        self.came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._connection is None or self._ends or not self._connection.is_open:
            return  # aiohttp goes on with what it kept even after the connection was cut off
        if data:  # aiohttp itself calls this with nothing, to go on with what it kept
            if self._turned_away(self._connection, data):
                return
            self._open.received(self._connection)
            if not self._in_body(self._connection) and (status := self._head.receive(data)):
                self._refuse_head(self._connection, status)
                return
        before = self._connection.body.total_bytes
        super().data_received(data)
        if not data:
            self._connection.parser_resumed(self._connection.body.total_bytes - before)
            self._open.cut_off_tiny_chunks(self._connection)
        if self._messages:
            # After what cannot be read nothing is: its answer ends the connection.
            self._ends = not isinstance(self._messages[-1][0], RawRequestMessage)
        if len(self._messages) > 1 and (status := self._head.pipelined(data)):
            self._refuse_head(self._connection, status)
            return
        self._open.parsed(self._connection)
        self._settle(self._connection)

    def _in_body(self, connection: Connection) -> bool:
        """Whether what comes next belongs to a body."""
        if self._messages:  # the head is complete, and the request has not begun yet
            return not self._messages[-1][1].is_eof()
        return not connection.body.is_eof()

    def _refuse_head(self, connection: Connection, status: int) -> None:
        """End a connection that sent too much before its requests were answered."""
        sending = self.transport
        if sending is None:
            return
        self._ends = True
        if self._messages or not connection.head_since:  # an earlier request has no answer yet
            sending.abort()
            return
        # Not closed at once: a reset would take the answer from a client that still sends.
        sending.write(_TOO_LARGE if status == TOO_LARGE else _TOO_MANY)
        sending.write_eof()

    def _turned_away(self, connection: Connection, data: bytes) -> bool:
        """Answer before anything is parsed, if the doorman has an answer."""
        if self._visitor is None or self.transport is None:
            return False
        # Not to a client that takes no answers: they would pile up.
        answer = self._visitor.turned_away(data, may_answer=not self.writing_paused)
        if answer is None:
            return False
        self.transport.write(answer)
        connection.answered(self._open.now())
        self._open.sort(connection)
        self._next_keepalive_close_time = self._loop.time() + KEEPALIVE_SECONDS
        return True

    def pause_writing(self) -> None:
        """The client does not take what is written as fast as it comes."""
        super().pause_writing()
        if self._connection is not None:
            self._connection.answer_since = self._open.now()
            self._open.sort(self._connection)

    def resume_writing(self) -> None:
        """It does now."""
        super().resume_writing()
        if self._connection is not None:
            self._connection.answer_since = 0.0
            self._open.sort(self._connection)

    def came(self) -> None:
        """A request has reached the application, or never will."""
        if self._visitor is not None:
            self._visitor.came()

    def asked(self, message: RawRequestMessage, body: Body) -> None:
        """The headers of a request are complete."""
        if self._connection is not None:
            self._connection.asked(body, self._open.now(), chunked=message.chunked)
            self._open.sort(self._connection)
        if self._visitor is not None:
            # After a tunnel or another protocol was asked for, bytes are no body.
            counts = not (message.chunked or message.upgrade or message.method == METH_CONNECT)
            length = int(message.headers.get("Content-Length", 0)) if counts else None
            self._visitor.asked(length)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer, and note when that is done."""
        response, reset = await super().finish_response(request, resp, start_time)
        if self._connection is not None:
            self._connection.answered(self._open.now())
            self._open.sort(self._connection)
            if not self._messages:
                self._head.release()
            if self._visitor is not None and response.keep_alive:
                self._visitor.answered()
                self._settle(self._connection)
        return response, reset

    def _settle(self, connection: Connection) -> None:
        """Tell the doorman what the parser knows."""
        if self._visitor is not None:
            left = self._messages or self._upgraded or not connection.body.is_eof()
            self._visitor.settle(nothing_left=not left)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser refused; its own text may quote the Authorization header."""
        request_id = uuid4().hex
        self.logger.warning("malformed request %s: %s", request_id, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("An answer has begun already.")
        response = error_answer(ScimError(status, None, _UNREADABLE)).response(request_id)
        response.force_close()
        return response


_TOO_MANY: Final = as_http(full(), Connection="close")
_TOO_LARGE: Final = as_http(
    ScimError(
        TOO_LARGE,
        None,
        f"The request has more than {MAX_HEAD_BYTES} bytes of headers; send fewer or shorter ones.",
    ),
    Connection="close",
)
