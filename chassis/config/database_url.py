"""The address of a database: what of it must not be used, told without showing any of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

DEVELOPMENT: Final = "development-"
"""What the secrets of a run for development begin with; they are refused anywhere else."""
_WELL_KNOWN: Final = {"", "admin", "changeme", "password", "postgres", "root", "secret", "test"}
_PLACE: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+))(?::\d*)?", re.ASCII)
"""A host, of IPv6 in brackets, and perhaps a port."""
_PORTS: Final = re.compile(r"\d+(,\d+)*", re.ASCII)
_FORM: Final = "is not postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_TWO_SIGNS: Final = "has more than one @ before its database: within a password, write %40"
"""One reader takes the first for the end of the password, another the last: to us asyncpg's hosts
would not be those that it connects to."""


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is that of this machine for itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def problems(url: str) -> Iterator[str]:
    """What is wrong with a database's address.

    One on another machine has to prove itself, and its password must not be one that others know.
    """
    try:
        parts = urlsplit(url)
        # What asyncpg would refuse with a text of its own, which may show a part of a password.
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
        hosts = _hosts(parts, options)
    except ValueError:
        yield _FORM
        return
    if parts.scheme not in ("postgresql", "postgres") or parts.fragment:
        yield _FORM
    elif parts.netloc.count("@") > 1:
        yield _TWO_SIGNS
    elif not all(map(_is_here, hosts)):
        yield from _problems_elsewhere(parts, options)


def _problems_elsewhere(parts: SplitResult, options: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if options.get("sslmode") != ["verify-full"]:
        yield "names another machine without sslmode=verify-full"
    password = unquote(parts.password or "")
    if password.startswith(DEVELOPMENT):
        yield "has a password that was made for development"
    if password.lower() in _WELL_KNOWN | {unquote(parts.username or "").lower()}:
        yield "has a password that everybody would try, or none"


def _hosts(parts: SplitResult, options: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """All hosts that an address names, in its place for them and in an option.

    Of the two, asyncpg connects to the first, libpq to the second: both count. Without any it would
    be the environment's, which is nobody's name here.

    Refuses (ValueError) what asyncpg does not read, and a port that is no number: a library would
    show it, and part of a password may stand there.
    """
    place = parts.netloc.rpartition("@")[2]
    optional = [_host(host) for each in options.get("host", ()) for host in each.split(",")]
    if not all(_PORTS.fullmatch(each) for each in options.get("port", ())):
        raise ValueError("port")
    if not place:
        return optional or [""]
    return [*(unquote(_host(host)) for host in place.split(",")), *optional]


def _host(address: str) -> str:
    """A host without its port, as asyncpg reads it."""
    if address.startswith("/"):
        return address
    found = _PLACE.fullmatch(address)
    if not found:
        raise ValueError("host or port")
    return found[1] or found[2]


def _is_here(host: str) -> bool:
    """Whether it is this machine, or a socket of its file system."""
    return is_loopback(host) or host.startswith("/")
