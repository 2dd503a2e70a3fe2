"""A stand-in for PyPI's advisories, which pip-audit reaches through a proxy.

pip-audit connects to one host by HTTPS. The proxy terminates this connection with a certificate of
an authority that pip-audit trusts here.
"""

import json
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.support.chassis.authorities import Authority

HOST = "pypi.org"

Vulnerabilities = list[dict[str, Any]]


@dataclass(frozen=True)
class Advisories:
    """The advisories by package; PyPI does not know other packages."""

    known: Mapping[str, Vulnerabilities]
    silent: bool = False
    """Whether requests are accepted but never answered."""


@contextmanager
def advisory_server(advisories: Advisories, folder: Path) -> Iterator[dict[str, str]]:
    """Serve advisories; yields the environment of a client that reads them instead of PyPI's."""
    files = Authority().issue(folder / "certificate", HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    stopped = Event()

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            assert self.path == f"{HOST}:443"
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", buffering=0)  # type: ignore[assignment]
            self.close_connection = False

        def do_GET(self) -> None:
            if advisories.silent:
                stopped.wait()
                return
            found = re.fullmatch(r"/pypi/([^/]+)/[^/]+/json", self.path)
            assert found
            known = advisories.known.get(found[1])
            text = json.dumps({"vulnerabilities": known}).encode()
            self.send_response(404 if known is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Do not log: the client reports errors."""

    Proxy.protocol_version = "HTTP/1.1"
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield environment(server.server_port, files.authority, folder)
        finally:
            stopped.set()
            server.shutdown()


def environment(port: int, authority: Path | None, folder: Path) -> dict[str, str]:
    """The environment of a client with a proxy at the port and an empty cache."""
    return {
        **os.environ,
        "HTTPS_PROXY": f"http://127.0.0.1:{port}",
        "NO_PROXY": "",
        "REQUESTS_CA_BUNDLE": str(authority or ""),
        "PIP_CACHE_DIR": str(folder / "cache"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
