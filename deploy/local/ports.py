"""Chooses the gateway's port: never one on which another program listens."""

import errno
import secrets
import socket
from typing import Final

from deploy.local.region import HOST

CONNECT_SECONDS: Final = 0.5
PORTS: Final = range(10_000, 32_768)
"""Below the ephemeral ports of Linux (from 32768 on), and of macOS and IANA (from 49152 on)."""
TRIES: Final = 50


class PortError(Exception):
    """The requested port cannot be used, or no port is free."""


def choose_port(requested: int | None, default: int) -> int:
    """The requested port, else the default one if it is free, else a free one.

    Refuses (PortError) a requested port that is in use; it chooses no other one.
    """
    if requested is not None:
        problem = _problem(requested)
        if problem:
            raise PortError(
                f"Port {requested} {problem}. Choose another with PORT=, or leave PORT out."
            )
        return requested
    return free_port() if _problem(default) else default


def free_port() -> int:
    """A port that was free a moment ago. Refuses (PortError) if it finds none.

    It is outside the ephemeral range: the system could give such a port to another program first.
    """
    for _ in range(TRIES):
        port = secrets.choice(PORTS)
        if not _problem(port):
            return port
    raise PortError(f"No free port was found between {PORTS.start} and {PORTS.stop}.")


def _problem(port: int) -> str:
    """Why the port cannot be listened on; empty if it can."""
    if _answers(port):  # some systems let a wildcard and a named address share a port
        return "is in use by another program"
    with socket.socket() as probe:
        # As servers do: connections in TIME_WAIT must not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return "may not be used by this account"
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is in use by another program"
            return f"cannot be used: {error.strerror}"
    return ""


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(CONNECT_SECONDS)
        return probe.connect_ex((HOST, port)) == 0
