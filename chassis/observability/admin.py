"""A port for those who watch over a process: its metrics and its probes."""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, TypeAlias

from chassis.config.settings import Address
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics
from chassis.startup import StartError, redact

PATIENCE_SECONDS: Final = 5.0
Probes: TypeAlias = Mapping[str, Callable[[], bool]]
"""Questions with yes (200) or no (503) as the answer, by path."""

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


@contextmanager
def admin_port(
    listen: Address | None, metrics: Metrics, probes: Probes, log: Logger
) -> Iterator[None]:
    """Answer `/metrics` and the probes on the port, if there is one, until the block ends.

    From threads of its own, so that a loop that hangs can be seen from outside. It has to be
    opened on the process's event loop, whose tasks the metrics count.
    Refuses (StartError) a port that is taken.
    """
    if listen is None:
        yield
        return
    try:
        server = _Server((listen.host, listen.port), _handler(metrics, probes), log)
    except OSError as error:
        raise StartError(f"cannot listen on {redact(str(listen))}: {error.strerror}") from error
    metrics.observe_tasks(asyncio.get_running_loop())
    log.info("admin listening", address=str(Address(listen.host, server.server_port)))
    thread = threading.Thread(target=server.serve_forever, name="admin", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], log: Logger
    ) -> None:
        self._log = log
        super().__init__(address, handler)

    def handle_error(self, *_: object) -> None:
        """Log what kept a request from being answered; the next one is."""
        kind = sys.exc_info()[0]
        if kind is not None and not issubclass(kind, OSError):  # else the client has gone
            self._log.error("admin request failed", exc_info=True)


def _handler(metrics: Metrics, probes: Probes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE_SECONDS

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, metrics.text())
            elif probe := probes.get(self.path):
                well = probe()
                self._answer(200 if well else 503, b"yes\n" if well else b"no\n")
            else:
                self._answer(404, b"Nothing is here; /metrics is.\n")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", _TEXT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Scrapes are not worth a line."""

    return Handler
