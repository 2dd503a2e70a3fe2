"""A raw HTTP request, and an attack: a shape of requests at a route."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tools.stall.routes import Route

Header = tuple[str, bytes]

SMALL_BYTES: Final = 64 * 1024
STEPS: Final = (64, 8, 1)
"""Shapes above SMALL_BYTES are sent at 1/64, 1/8 and all of their limit. Once a size stalls others,
larger ones are left out: a shape with quadratic cost would block the gateway for hours."""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request ready to send."""

    method: str
    target: str
    headers: tuple[tuple[str, bytes], ...] = ()
    body: bytes = b""

    def raw(self, host: str) -> bytes:
        """The bytes of the request; the connection closes after the response."""
        lines = [f"{self.method} {self.target} HTTP/1.1".encode(), f"Host: {host}".encode()]
        lines += [name.encode() + b": " + value for name, value in self.headers]
        lines += [b"Connection: close"]
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"", b""]) + self.body


@dataclass(frozen=True, slots=True)
class Attack:
    """A shape of requests at a route."""

    route: Route
    shape: str
    has_key: bool
    make: Callable[[int], RawRequest]
    """Builds the request of a given size."""
    limit: int

    @property
    def sizes(self) -> tuple[int, ...]:
        if self.limit <= SMALL_BYTES:
            return (self.limit,)
        return tuple(max(1, self.limit // step) for step in STEPS)
