"""The bodies of requests: they come in at their clients' pace, and together take little memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import StreamReader, web

from chassis.observability.metrics import Metrics
from gateway.http.responses import MEDIA_TYPE, Document
from gateway.limits.rejections import full
from gateway.scim import resource
from gateway.scim.errors import ScimError, invalid_syntax

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_HELD_BYTES: Final = 8 * MAX_BODY_BYTES
"""As JSON, as resources and as messages a body takes up to 25 times the bytes that came."""

FLOOR_BYTES: Final = 64 * 1024
"""What one organization may hold even when the others hold all of it."""
RECEIVED_OF_ONE: Final = 128
"""How many bodies of one organization may be on their way at once: each keeps a connection."""

_PLAIN: Final = "identity"
_ACCEPTED: Final = (MEDIA_TYPE, "application/json")


class Bodies:
    """The bytes that requests have sent so far: so many at once, half of one organization at most.

    Only what has come is counted, so whoever sends slowly keeps little from others. An
    organization with FLOOR_BYTES or less may hold them when all is taken, from a
    reserve of a quarter.
    """

    def __init__(self, limit: int = MAX_HELD_BYTES, *, floor: int = FLOOR_BYTES) -> None:
        self._limit = limit
        self._floor = floor
        self._of: dict[str, _Held] = {}
        self.held = 0

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell of them."""
        metrics.gauge(
            "http_server_buffered_body_bytes", "Request bodies in memory.", lambda: self.held
        )

    @contextmanager
    def of(self, name: str) -> Iterator["Holder"]:
        """Holds the bytes of one request of an organization, or address, until it is answered."""
        held = self._of.setdefault(name, _Held())
        held.requests += 1
        holder = Holder(self, held)
        try:
            yield holder
        finally:
            self.held -= holder.size
            held.size -= holder.size
            held.requests -= 1
            if not held.requests:
                del self._of[name]

    def take(self, held: "_Held", size: int) -> None:
        """Count more bytes of a name; refuses RejectedError (503)."""
        of_all, of_one = self.held + size, held.size + size
        room = self._limit if of_one > self._floor else self._limit + self._limit // 4
        if of_all > room or of_one > self._limit // 2:
            raise full()
        self.held, held.size = of_all, of_one


@dataclass(slots=True)
class _Held:
    """What is held of one name."""

    requests: int = 0
    size: int = 0
    coming: int = 0
    """How many of its bodies are on their way."""


class Holder:
    """What one request holds. Calling it holds so many bytes more; refuses RejectedError."""

    __slots__ = ("_bodies", "_held", "size")

    def __init__(self, bodies: Bodies, held: _Held) -> None:
        self._bodies = bodies
        self._held = held
        self.size = 0

    def __call__(self, size: int) -> None:
        """Hold more."""
        self._bodies.take(self._held, size)
        self.size += size

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """While the body comes in; refuses RejectedError when too many of the name do."""
        if self._held.coming >= RECEIVED_OF_ONE:
            raise full()
        self._held.coming += 1
        try:
            yield
        finally:
            self._held.coming -= 1


class BodyTooLargeError(Exception):
    """A body has more bytes than are taken of it."""


class BodyLostError(Exception):
    """A body ended too early; the text says how."""


async def receive(request: web.Request, hold: Holder, limit: int) -> bytes:
    """Wait for the whole body, at its client's pace.

    Refuses BodyTooLargeError over `limit` bytes, BodyLostError, and what `hold` refuses.
    """
    if (request.content_length or 0) > limit:
        raise BodyTooLargeError
    try:
        with hold.receiving():
            return await _read(request.content, hold, limit)
    except web.RequestPayloadError:
        raise BodyLostError("The body is not as long as it was said to be.") from None
    except ConnectionError:
        raise BodyLostError("The connection ended before the body did.") from None


async def _read(content: StreamReader, hold: Holder, limit: int) -> bytes:
    parts, size = [], 0
    while part := await content.readany():
        size += len(part)
        if size > limit:
            raise BodyTooLargeError
        hold(len(part))
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class EncodedError(ScimError):
    """A body that is compressed (RFC 9110 section 12.5.3): none says how large it will be."""

    def __init__(self) -> None:
        super().__init__(
            415,
            None,
            "The body has a Content-Encoding; send it as it is.",
            {"Accept-Encoding": _PLAIN},
        )


class Body:
    """The body of one request: `receive` takes it in, `document` says what it is."""

    def __init__(self, request: web.Request, hold: Holder) -> None:
        self._request = request
        self._hold = hold
        self.data = b""

    async def receive(self) -> None:
        """Wait for the whole body.

        Refuses (415) media types that are not JSON and compressed bodies, (413)
        bodies over the limit, (503) more than there is memory for.
        """
        self._check_kind()
        try:
            self.data = await receive(self._request, self._hold, MAX_BODY_BYTES)
        except BodyTooLargeError:
            raise _too_large() from None
        except BodyLostError as lost:
            raise invalid_syntax(str(lost)) from None

    @property
    def received_bytes(self) -> int:
        """How many bytes came, even if they were refused before the last one."""
        return self._hold.size

    def document(self) -> Document:
        """The JSON object that was received; refuses (400 invalidSyntax) what is none."""
        return resource.loads(self.data)

    def _check_kind(self) -> None:
        headers = self._request.headers
        content_type = headers.get("Content-Type", MEDIA_TYPE)
        if content_type.partition(";")[0].strip().lower() not in _ACCEPTED:
            raise ScimError(
                415, None, f"The Content-Type is not {MEDIA_TYPE}; send the resource as JSON."
            )
        if headers.get("Content-Encoding", _PLAIN).strip().lower() != _PLAIN:
            raise EncodedError


def _too_large() -> ScimError:
    return ScimError(
        413,
        None,
        f"The body is larger than {MAX_BODY_BYTES} bytes. Send the change in smaller parts.",
    )
