"""Settings from environment variables, read once at start."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chassis.config import database_url
from chassis.config.database_url import DEVELOPMENT, is_loopback
from chassis.startup import StartError, redact

DISTINCT_BYTES: Final = 16
"""How many different bytes a secret has at least; of 32 random ones, hardly ever fewer than 24."""
MAX_CALLS: Final = 256
"""For 8 connections to a database: more calls would only wait longer for one of them."""

_IS_CONTENT: Final = re.compile(r"[\r\n]|-----BEGIN")

SHUTDOWN_DELAY_SECONDS: Final = 0.5
"""Time for callers to hear that a server is going, and to send their next call to another."""


class SettingsError(StartError):
    """The environment lacks a variable or has one with a value it cannot have."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the PEM files are: a certificate with its chain, its key, the authority of others."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class Address:
    """Where a process listens: a host, and a port or 0 for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a gRPC server is reached, and by whom: with `tls`, by callers with a certificate."""

    listen: Address
    tls: CertificateFiles | None = None
    reflection: bool = True
    max_calls: int = MAX_CALLS
    """How many calls run at once; the next is refused with OVERLOADED."""
    connection_seconds: int = 300
    """How old a connection gets. Callers look for all servers again when it ends."""
    admin: Address | None = None
    """Where metrics and probes are answered, if at all."""
    shutdown_delay_seconds: float = SHUTDOWN_DELAY_SECONDS
    """How long callers have to leave before the server stops."""


class Environment:
    """Reads the variables of one process and remembers everything wrong with them.

    The names are given without the process's prefix. After the last read,
    `check` refuses with all problems at once.
    """

    _MISSING: Final = "is not set"

    def __init__(self, variables: Mapping[str, str], prefix: str) -> None:
        self._variables = variables
        self._prefix = prefix
        self._problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """A variable as it is; required when it has no default."""
        value = self._variables.get(self._prefix + name, "") or default
        if value is None:
            self._problem(name, self._MISSING)
            return ""
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of a few words; another is not shown, for it may be a short password."""
        value = self.text(name, default)
        if value and value not in choices:
            self._problem(name, f"is not one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """A whole number within limits; what is none is not shown, either."""
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError:
            self._problem(name, "is not a whole number")
            return default
        if not minimum <= number <= maximum:
            self._problem(name, f"is not between {minimum} and {maximum}")
        return number

    def address(self, name: str, default: str) -> Address:
        """`host:port`, an IPv6 host in brackets."""
        value = self.text(name, default)
        host, _, port = value.rpartition(":")
        if not _is_host(host) or not port.isdecimal() or int(port) > 65535:
            self._problem(name, f"is {redact(value)}, not host:port")
            return Address("", 0)
        return Address(host.removeprefix("[").removesuffix("]"), int(port))

    def optional_address(self, name: str) -> Address | None:
        """`host:port`, or nothing."""
        return self.address(name, "") if self._variables.get(self._prefix + name) else None

    def switch(self, name: str, default: bool) -> bool:
        """`on` or `off`."""
        return self.choice(name, ("on", "off"), "on" if default else "off") == "on"

    def certificate_files(self) -> CertificateFiles | None:
        """`TLS_CERTIFICATE`, `TLS_KEY` and `TLS_AUTHORITY`: all of them or none."""
        paths = self.files("TLS_CERTIFICATE", "TLS_KEY", "TLS_AUTHORITY")
        return CertificateFiles(*paths) if paths else None

    def files(self, *names: str) -> Sequence[Path] | None:
        """The paths of files that belong together: all of them or none.

        What is in such a file is refused in a path's place, unseen: no file's name is like it, and
        whoever could not open it would tell.
        """
        paths = [self._variables.get(self._prefix + name, "") for name in names]
        if not any(paths):
            return None
        for name, path in zip(names, paths, strict=True):
            if not path:
                self._problem(name, self._MISSING)
            elif _IS_CONTENT.search(path):
                self._problem(name, "is the content of a file: give its path")
        return [Path(path) for path in paths]

    def server(self, listen: str) -> ServerSettings:
        """What a server's variables say; `REFLECTION` is off by itself where TLS is on."""
        tls = self.certificate_files()
        return ServerSettings(
            listen=self.address("LISTEN", listen),
            tls=tls,
            reflection=self.switch("REFLECTION", tls is None),
            max_calls=self.integer("MAX_CALLS", MAX_CALLS, 1, 100_000),
            connection_seconds=self.integer("CONNECTION_SECONDS", 300, 1, 86_400),
            admin=self.optional_address("ADMIN_LISTEN"),
        )

    def database(self, name: str) -> str:
        """`postgresql://…`; required. Never shown in a problem, as it has a password.

        A database on another machine has to prove itself, and its password not to be known.
        """
        url = self.text(name)
        for what in database_url.problems(url) if url else ():
            self._problem(name, what)
        return url

    def optional_database(self, name: str) -> str:
        """`postgresql://…`, or nothing."""
        return self.database(name) if self._variables.get(self._prefix + name) else ""

    def urls(
        self, name: str, default: str, keys: tuple[str, ...], *, https: bool = False
    ) -> Mapping[str, str]:
        """`key=URL,key=URL` with one URL for each of the keys, with `https` all of that scheme."""
        value = self.text(name, default)
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        urls = {key: url.rstrip("/") for key, _, url in pairs}
        if sorted(urls) != sorted(keys) or not all(
            url.startswith(("https://", "http://")) for url in urls.values()
        ):
            self._problem(name, f"is {redact(value)}, not {'=URL,'.join(keys)}=URL")
        elif https and not all(url.startswith("https://") for url in urls.values()):
            self._problem(
                name, f"is {redact(value)}: others reach this process, so https:// it must be"
            )
        return urls

    def secret(self, name: str, minimum_bytes: int, *, exposed: bool) -> bytes:
        """Bytes that nobody else knows, in hexadecimal; required. Never shown in a problem.

        `exposed` is a process that others reach: it takes none that was made for development.
        """
        value = self.text(name)
        try:
            secret = bytes.fromhex(value)
        except ValueError:
            self._problem(name, "is not hexadecimal")
            return b""
        if value and len(secret) < minimum_bytes:
            self._problem(name, f"has {len(secret)} bytes, fewer than {minimum_bytes}")
        elif value and len(set(secret)) < DISTINCT_BYTES:
            self._problem(name, f"can be guessed: it has only {len(set(secret))} different bytes")
        if exposed and secret.startswith(DEVELOPMENT.encode()):
            self._problem(name, "was made for development, and others reach this process")
        return secret

    def check(self) -> None:
        """Refuse with every problem met so far, when there is one."""
        if self._problems:
            raise SettingsError("; ".join(self._problems))

    def _problem(self, name: str, what: str) -> None:
        self._problems.append(f"{self._prefix}{name} {what}")


def _is_host(text: str) -> bool:
    """Whether it can be looked up; of what cannot, the library's fault is no OSError."""
    try:
        return bool(text.encode("idna"))
    except UnicodeError:
        return False
