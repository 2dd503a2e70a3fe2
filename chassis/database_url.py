"""The address of a database: what of it must not be used, told without showing any of it."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

DEVELOPMENT: Final = "development-"
"""What the secrets of a run for development begin with; they are refused anywhere else."""
_WELL_KNOWN: Final = {"", "admin", "changeme", "password", "postgres", "root", "secret", "test"}
_FORM: Final = "is not postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


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
        options = parse_qs(parts.query)
        hosts = _hosts(parts, options)
    except ValueError:
        yield _FORM
        return
    if parts.scheme not in ("postgresql", "postgres") or parts.fragment:
        yield _FORM
    elif not all(map(_is_here, hosts)):
        yield from _problems_elsewhere(parts, options)


def _problems_elsewhere(parts: SplitResult, options: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if options.get("sslmode") != ["verify-full"]:
        yield "names another machine without sslmode=verify-full"
    password = unquote(parts.password or "")
    if password.startswith(DEVELOPMENT):
        yield "has a password that was made for development"
    if password.lower() in _WELL_KNOWN | {parts.username}:
        yield "has a password that everybody would try, or none"


def _hosts(parts: SplitResult, options: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """All hosts that an address names, in its place for them and in an option.

    Of the two, asyncpg connects to the first, libpq to the second: both count.

    Refuses (ValueError) a port that is no number: a library would show it, and part of a password
    may stand there.
    """
    place = parts.netloc.rpartition("@")[2]
    optional = [host for each in options.get("host", ()) for host in each.split(",")]
    if optional and not place:
        return optional
    return [*map(_host, place.split(",")), *optional]


def _host(address: str) -> str:
    inside, bracket, port = address.removeprefix("[").partition("]")
    host, _, port = (inside, "", port) if bracket else address.partition(":")
    if port.removeprefix(":") and not port.removeprefix(":").isdecimal():
        raise ValueError("port")
    return host


def _is_here(host: str) -> bool:
    """Whether it is this machine, or a socket of its file system."""
    return is_loopback(host) or host.startswith("/")
