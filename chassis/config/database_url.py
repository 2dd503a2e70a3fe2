"""Checks of a database URL. The reported problems quote no part of the URL."""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

DEVELOPMENT: Final = "development-"
"""The prefix of development secrets, which are accepted only between processes of one machine."""
_WELL_KNOWN: Final = {"", "admin", "changeme", "password", "postgres", "root", "secret", "test"}
_HOST_AND_PORT: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+))(?::\d*)?", re.ASCII)
"""A host (IPv6 in brackets) with an optional port."""
_PORTS: Final = re.compile(r"\d+(,\d+)*", re.ASCII)
_FORM: Final = "is not postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_SEVERAL_AT_SIGNS: Final = "has more than one @ before the database name: write %40 in a password"
"""Parsers disagree on which @ ends the password, so asyncpg could connect to a host that we did not
check."""


def is_loopback(host: str) -> bool:
    """Whether a host name or an address is a loopback one."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def find_problems(url: str) -> Iterator[str]:
    """The problems of a database URL, each as the predicate of a sentence.

    A database on another machine needs a verified certificate and a password that is neither well
    known nor for development.
    """
    try:
        parts = urlsplit(url)
        # Refuse here what asyncpg would refuse: its error text may quote a part of a password.
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
        hosts = _hosts(parts, options)
    except ValueError:
        yield _FORM
        return
    if parts.scheme not in ("postgresql", "postgres") or parts.fragment:
        yield _FORM
    elif parts.netloc.count("@") > 1:
        yield _SEVERAL_AT_SIGNS
    elif not all(map(_is_local, hosts)):
        yield from _remote_problems(parts, options)


def _remote_problems(parts: SplitResult, options: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if options.get("sslmode") != ["verify-full"]:
        yield "names another machine without sslmode=verify-full"
    password = unquote(parts.password or "")
    if password.startswith(DEVELOPMENT):
        yield "has a password that was made for development"
    if password.lower() in _WELL_KNOWN | {unquote(parts.username or "").lower()}:
        yield "has no password, or a well-known one"


def _hosts(parts: SplitResult, options: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """All hosts of a URL: those before the path and those of the option `host`.

    Both count, because asyncpg connects to the first and libpq to the second. The host of a URL
    without one is empty, because libraries would take the host from the environment.

    Refuses (ValueError) a host that asyncpg cannot parse, and a port that is not a number. Such a
    port may be a part of a password, and a library would quote it in an error.
    """
    location = parts.netloc.rpartition("@")[2]
    from_option = [_host(host) for each in options.get("host", ()) for host in each.split(",")]
    if not all(_PORTS.fullmatch(each) for each in options.get("port", ())):
        raise ValueError("port")
    if not location:
        return from_option or [""]
    return [*(unquote(_host(host)) for host in location.split(",")), *from_option]


def _host(address: str) -> str:
    """A host without its port, as asyncpg parses it."""
    if address.startswith("/"):
        return address
    match = _HOST_AND_PORT.fullmatch(address)
    if not match:
        raise ValueError("host or port")
    return match[1] or match[2]


def _is_local(host: str) -> bool:
    """Whether a host is this machine or a Unix socket."""
    return is_loopback(host) or host.startswith("/")
