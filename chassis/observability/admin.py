"""The admin port of a process: metrics and probes."""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, TypeAlias

from chassis.config.settings import Address
from chassis.observability.log import Logger, observe
from chassis.observability.metrics import Metrics
from chassis.startup import StartError, redact

CLIENT_TIMEOUT_SECONDS: Final = 5.0
Probes: TypeAlias = Mapping[str, Callable[[], bool]]
"""Checks by path. The response has the status 200 if the check returns true, and 503 if not."""

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


@contextmanager
def admin_port(
    listen: Address | None, metrics: Metrics, probes: Probes, log: Logger
) -> Iterator[None]:
    """Serve `/metrics` and the probes on `listen` until the block ends; do nothing if it is None.

    The port has its own threads, so that it can report an event loop that hangs. Open it on the
    process's event loop: the metrics count the tasks of that loop. Refuses (StartError) an address
    that cannot be bound.
    """
    if listen is None:
        yield
        return
    try:
        server = _Server((listen.host, listen.port), _handler(metrics, probes), log)
    except OSError as error:
        raise StartError(f"cannot listen on {redact(str(listen))}: {error.strerror}") from error
    metrics.observe_tasks(asyncio.get_running_loop())
    observe(metrics)
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
        """Log the error of a request. The port continues to serve other requests."""
        error_type = sys.exc_info()[0]
        # An OSError means that the client has disconnected.
        if error_type is not None and not issubclass(error_type, OSError):
            self._log.error("admin request failed", exc_info=True)


def _handler(metrics: Metrics, probes: Probes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = CLIENT_TIMEOUT_SECONDS

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._respond(200, metrics.text())
            elif probe := probes.get(self.path):
                is_ok = probe()
                self._respond(200 if is_ok else 503, b"yes\n" if is_ok else b"no\n")
            else:
                self._respond(404, b"Not found. The metrics are at /metrics.\n")

        def _respond(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", _TEXT)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do not log requests: a scrape comes every few seconds."""

    return Handler
