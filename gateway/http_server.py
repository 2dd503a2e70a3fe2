"""The HTTP server: what cannot even be read as HTTP is refused in SCIM's form, too."""

from typing import Final
from uuid import uuid4

from aiohttp import web

from chassis.log import Logger
from chassis.process import StartError
from chassis.settings import Address
from gateway.exchange import error_answer
from gateway.scim.errors import ScimError

DRAIN_SECONDS: Final = 10.0
KEEPALIVE_SECONDS: Final = 75.0
MAX_LINE_BYTES: Final = 32 * 1024  # a filter of the greatest length, percent-encoded

_UNREADABLE: Final = (
    "The request cannot be read as HTTP: its first line or a header is malformed or too long."
)


class Runner(web.AppRunner):
    """Runs an application on its sockets and drains them at the end."""

    def __init__(self, app: web.Application, log: Logger) -> None:
        super().__init__(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=DRAIN_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
            max_line_size=MAX_LINE_BYTES,
            # A megabyte of gzip is a gigabyte of work, even of a request that is refused unread.
            auto_decompress=False,
        )
        self._log = log

    async def listen(self, address: Address) -> None:
        """Accept connections, and say in the log where."""
        await self.setup()
        site = web.TCPSite(self, address.host, address.port, reuse_port=False)
        try:
            await site.start()
        except OSError as error:
            raise StartError(f"cannot listen on {address}: {error}") from error
        port = self.addresses[0][1]
        self._log.info("listening", address=str(Address(address.host, port)))

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            **server._kwargs,  # noqa: SLF001 - the settings above, as aiohttp completed them
        )


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    """One connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser refused; its own text may quote the Authorization header."""
        request_id = uuid4().hex
        self.logger.warning("unreadable request %s: %s", request_id, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("An answer has begun already.")
        response = error_answer(ScimError(status, None, _UNREADABLE)).response(request_id)
        response.force_close()
        return response
