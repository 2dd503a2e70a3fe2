"""Settings from environment variables, read once at startup."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from chassis.config.database_url import DEVELOPMENT, find_problems, is_loopback
from chassis.startup import StartError, redact

DISTINCT_BYTES: Final = 16
"""The minimum number of different bytes in a secret; 32 random bytes rarely have fewer than 24."""
MAX_CALLS: Final = 256
"""Suits 8 database connections: more concurrent calls would only wait longer for one."""

_IS_CONTENT: Final = re.compile(r"[\r\n]|-----BEGIN")

SHUTDOWN_DELAY_SECONDS: Final = 0.5
"""How long a server still accepts calls after it has reported that it is shutting down.

Callers learn of it in this time and send their next calls to other servers."""


class SettingsError(StartError):
    """A variable is missing from the environment or has an invalid value."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Paths of PEM files: a certificate with its chain, its key, and the trusted authority."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class Address:
    """The address on which a process listens; port 0 is any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of a gRPC server. With `tls`, callers need a certificate."""

    listen: Address
    tls: CertificateFiles | None = None
    reflection: bool = True
    max_calls: int = MAX_CALLS
    """The limit of concurrent calls; a call above it is refused (OVERLOADED)."""
    connection_seconds: int = 300
    """The maximum age of a connection. When it ends, callers resolve the service's name again."""
    admin: Address | None = None
    """The address of the admin port, which serves metrics and probes; None for no port."""
    shutdown_delay_seconds: float = SHUTDOWN_DELAY_SECONDS
    """See SHUTDOWN_DELAY_SECONDS."""


class Environment:
    """Reads the variables of one process and collects their problems.

    Methods take names without the process's prefix, and return a placeholder for an invalid
    value. `check` then refuses with all problems at once.
    """

    _MISSING: Final = "is not set"

    def __init__(self, variables: Mapping[str, str], prefix: str) -> None:
        self._variables = variables
        self._prefix = prefix
        self._problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """A variable as it is; required unless there is a default."""
        value = self._variables.get(self._prefix + name, "") or default
        if value is None:
            self._problem(name, self._MISSING)
            return ""
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of a few words. The problem does not quote the value: it may be a short password."""
        value = self.text(name, default)
        if value and value not in choices:
            self._problem(name, f"is not one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """A whole number within limits. The problem does not quote the value: it may be secret."""
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
        """`host:port`, with an IPv6 host in brackets."""
        return self._address(name, self.text(name, default))

    def _address(self, name: str, value: str) -> Address:
        host, _, port = value.rpartition(":")
        if not _is_host(host) or not port.isdecimal() or int(port) > 65535:
            self._problem(name, f"is {redact(value)}, not host:port")
            return Address("", 0)
        return Address(host.removeprefix("[").removesuffix("]"), int(port))

    def optional_address(self, name: str) -> Address | None:
        """`host:port`, or None if the variable is not set."""
        return self.address(name, "") if self._variables.get(self._prefix + name) else None

    def addresses(self, name: str) -> tuple[Address, ...]:
        """`address:port,address:port` with numeric addresses, or none if it is not set."""
        values = [each.strip() for each in self._variables.get(self._prefix + name, "").split(",")]
        found = tuple(self._address(name, each) for each in values if each)
        if not all(_is_numeric(each.host) for each in found if each.host):
            self._problem(name, "has a host name in place of an address")
        return found

    def switch(self, name: str, default: bool) -> bool:
        """`on` or `off`."""
        return self.choice(name, ("on", "off"), "on" if default else "off") == "on"

    def development_switch(self, name: str, *, exposed: bool) -> bool:
        """`off`, or `on` if no other machine can reach the process (`exposed`)."""
        value = self.switch(name, default=False)
        if value and exposed:
            self._problem(name, "is for development, but other machines can reach this process")
        return value

    def certificate_files(self) -> CertificateFiles | None:
        """`TLS_CERTIFICATE`, `TLS_KEY` and `TLS_AUTHORITY`: all of them, or None."""
        paths = self.files("TLS_CERTIFICATE", "TLS_KEY", "TLS_AUTHORITY")
        return CertificateFiles(*paths) if paths else None

    def files(self, *names: str) -> Sequence[Path] | None:
        """The paths of files that belong together: all of them, or None.

        The content of a file instead of its path is a problem, and is not quoted. It is detected
        here, because an error from opening such a "path" would quote a private key.
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
        """The settings of a gRPC server. By default `REFLECTION` is off if TLS is on."""
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
        """A `postgresql://…` URL; required. Problems do not quote it: it has a password.

        See `find_problems` for the rules for a database on another machine.
        """
        url = self.text(name)
        for problem in find_problems(url) if url else ():
            self._problem(name, problem)
        return url

    def optional_database(self, name: str) -> str:
        """A `postgresql://…` URL, or an empty string if the variable is not set."""
        return self.database(name) if self._variables.get(self._prefix + name) else ""

    def urls(
        self, name: str, default: str, keys: tuple[str, ...], *, https: bool = False
    ) -> Mapping[str, str]:
        """`key=URL,key=URL` with one URL for each key. With `https`, other schemes are refused."""
        value = self.text(name, default)
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        urls = {key: url.rstrip("/") for key, _, url in pairs}
        if sorted(urls) != sorted(keys) or not all(
            url.startswith(("https://", "http://")) for url in urls.values()
        ):
            self._problem(name, f"is {redact(value)}, not {'=URL,'.join(keys)}=URL")
        elif https and not all(url.startswith("https://") for url in urls.values()):
            self._problem(
                name, f"is {redact(value)}: use https://, as other machines can reach this process"
            )
        return urls

    def secrets(
        self, name: str, minimum_bytes: int, maximum: int, *, exposed: bool
    ) -> tuple[bytes, ...]:
        """One to `maximum` different secrets in hexadecimal, separated by commas; required.

        Problems do not quote them. If other machines can reach the process (`exposed`),
        development secrets are refused.
        """
        values = [each.strip().lower() for each in self.text(name).split(",")]
        if len(values) > maximum:
            self._problem(name, f"has {len(values)} secrets, more than {maximum}")
        elif len(values) > 1 and "" in values:
            self._problem(name, "has a comma without a secret")
        elif len(set(values)) < len(values):
            self._problem(name, "has the same secret twice")
        return tuple(
            self._secret(name, each, minimum_bytes, exposed=exposed) for each in values[:maximum]
        )

    def _secret(self, name: str, value: str, minimum_bytes: int, *, exposed: bool) -> bytes:
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
            self._problem(name, "is for development, but other machines can reach this process")
        return secret

    def check(self) -> None:
        """Refuse (SettingsError) with all problems so far, if there are any."""
        if self._problems:
            raise SettingsError("; ".join(self._problems))

    def _problem(self, name: str, problem: str) -> None:
        self._problems.append(f"{self._prefix}{name} {problem}")


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    """Whether a text can be resolved. For others getaddrinfo raises an error that is no OSError."""
    try:
        return bool(text.encode("idna"))
    except UnicodeError:
        return False
