"""Which port the gateway listens on: never one that somebody else answers on."""

import errno
import secrets
import socket
from typing import Final

from deploy.local.region import HOST

CONNECT_SECONDS: Final = 0.5
PORTS: Final = range(10_000, 32_768)
"""Below those that Linux, and also macOS and IANA (from 49152 on), give to whoever asks for any."""
TRIES: Final = 50


class PortError(Exception):
    """The port that was asked for cannot be had."""


def choose_port(wanted: int | None, usual: int) -> int:
    """The port that was asked for, else the usual one if it is free, else a free one.

    Refuses a port that was asked for and is taken: whoever names one wants no other.
    """
    if wanted is not None:
        problem = _problem(wanted)
        if problem:
            raise PortError(
                f"Port {wanted} {problem}. Give another with PORT=, or none for a free one."
            )
        return wanted
    return free_port() if _problem(usual) else usual


def free_port() -> int:
    """A port that nobody had a moment ago.

    Not one that the system gives to whoever asks for any: between now and its use, somebody would.
    """
    for _ in range(TRIES):
        port = secrets.choice(PORTS)
        if not _problem(port):
            return port
    raise PortError(f"No free port was found between {PORTS.start} and {PORTS.stop}.")


def _problem(port: int) -> str:
    """What keeps us from listening on the port; empty if nothing does."""
    if _answers(port):  # some systems let two bind one port, one by name and one by wildcard
        return "is taken by another program"
    with socket.socket() as probe:
        # As servers do: connections that linger from before are no reason to move.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return "may not be used by this account"
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is taken by another program"
            return f"cannot be used: {error.strerror}"
    return ""


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(CONNECT_SECONDS)
        return probe.connect_ex((HOST, port)) == 0
