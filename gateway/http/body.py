"""Request bodies: received at the client's pace, and bounded in memory."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import StreamReader, web

from chassis.observability.metrics import Metrics
from gateway.http.responses import MEDIA_TYPE, Document
from gateway.limits.byte_budget import ByteBudget
from gateway.limits.rejections import no_slot
from gateway.scim import resource
from gateway.scim.errors import ScimError, invalid_syntax

MAX_BODY_BYTES: Final = 1024 * 1024
LIMIT_BYTES: Final = 8 * MAX_BODY_BYTES
"""The limit for all bodies. Parsing multiplies the memory of a body by up to 25."""
FLOOR_BYTES: Final = 64 * 1024
"""An organization that uses no more than this may exceed the limit by up to a quarter."""
MAX_RECEIVING: Final = 128
"""The most bodies of one organization that arrive at the same time; each holds a connection."""

_IDENTITY: Final = "identity"
_ACCEPTED: Final = (MEDIA_TYPE, "application/json")


class BodyMemory:
    """Limits the memory of request bodies; one organization has at most half of it.

    Only bytes that have arrived are counted, so a slow client takes little memory from others.
    """

    def __init__(self, limit: int = LIMIT_BYTES, *, floor: int = FLOOR_BYTES) -> None:
        self.budget = ByteBudget(limit, floor)
        self.receiving: Counter[str] = Counter()
        """The number of arriving bodies, by key of the budget."""

    @property
    def in_use(self) -> int:
        """The bytes of all bodies in memory."""
        return self.budget.in_use

    def observe(self, metrics: Metrics) -> None:
        """Publish the metrics."""
        metrics.gauge(
            "http_server_buffered_body_bytes", "Request bodies in memory.", lambda: self.in_use
        )

    @contextmanager
    def reservation(self, name: str) -> Iterator["BodyReservation"]:
        """The memory for the body of one request; released when the request is answered.

        `name` is an organization, or an address before sign-in.
        """
        reservation = BodyReservation(self, name)
        try:
            yield reservation
        finally:
            if reservation.size:
                self.budget.release(name, reservation.size)


class BodyReservation:
    """The memory that the body of one request uses."""

    __slots__ = ("_memory", "_name", "size")

    def __init__(self, memory: BodyMemory, name: str) -> None:
        self._memory = memory
        self._name = name
        self.size = 0

    def acquire(self, size: int) -> None:
        """Count bytes that have arrived; refuses RejectedError (503) if there is no memory."""
        if not self._memory.budget.acquire(self._name, size):
            raise no_slot()
        self.size += size

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Count a body while it arrives; refuses RejectedError (503) over MAX_RECEIVING."""
        receiving = self._memory.receiving
        if receiving[self._name] >= MAX_RECEIVING:
            raise no_slot()
        receiving[self._name] += 1
        try:
            yield
        finally:
            receiving[self._name] -= 1
            if not receiving[self._name]:
                del receiving[self._name]


class BodyTooLargeError(Exception):
    """A body has more bytes than its limit."""


class IncompleteBodyError(Exception):
    """A body ended too early; the text says how."""


async def receive(request: web.Request, reservation: BodyReservation, limit: int) -> bytes:
    """Wait for the whole body, at the client's pace.

    Refuses BodyTooLargeError over `limit` bytes, IncompleteBodyError, and RejectedError (503).
    """
    if (request.content_length or 0) > limit:
        raise BodyTooLargeError
    try:
        with reservation.receiving():
            return await _read(request.content, reservation, limit)
    except web.RequestPayloadError:
        raise IncompleteBodyError("The body is shorter than its Content-Length.") from None
    except ConnectionError:
        raise IncompleteBodyError("The connection ended before the body was complete.") from None


async def _read(content: StreamReader, reservation: BodyReservation, limit: int) -> bytes:
    parts, size = [], 0
    while part := await content.readany():
        size += len(part)
        if size > limit:
            raise BodyTooLargeError
        reservation.acquire(len(part))
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class CompressedBodyError(ScimError):
    """A compressed body (RFC 9110 section 12.5.3): its size is unknown until it is decompressed."""

    def __init__(self) -> None:
        super().__init__(
            415,
            None,
            "The body has a Content-Encoding; send it uncompressed.",
            {"Accept-Encoding": _IDENTITY},
        )


class Body:
    """The body of one SCIM request."""

    def __init__(self, request: web.Request, reservation: BodyReservation) -> None:
        self._request = request
        self._reservation = reservation
        self.data = b""

    async def receive(self) -> None:
        """Wait for the whole body.

        Refuses (415) media types other than JSON and compressed bodies, (413) bodies over
        MAX_BODY_BYTES, (400 invalidSyntax) incomplete bodies, and (503) bodies that do not fit into
        memory.
        """
        self._check_headers()
        try:
            self.data = await receive(self._request, self._reservation, MAX_BODY_BYTES)
        except BodyTooLargeError:
            raise _too_large() from None
        except IncompleteBodyError as error:
            raise invalid_syntax(str(error)) from None

    @property
    def received_bytes(self) -> int:
        """The bytes that arrived, also of a body that was refused before its end."""
        return self._reservation.size

    def document(self) -> Document:
        """The JSON object in the body; refuses (400 invalidSyntax) anything else."""
        return resource.loads(self.data)

    def _check_headers(self) -> None:
        headers = self._request.headers
        content_type = headers.get("Content-Type", MEDIA_TYPE)
        if content_type.partition(";")[0].strip().lower() not in _ACCEPTED:
            raise ScimError(
                415, None, f"The Content-Type is not {MEDIA_TYPE}; send the resource as JSON."
            )
        if headers.get("Content-Encoding", _IDENTITY).strip().lower() != _IDENTITY:
            raise CompressedBodyError


def _too_large() -> ScimError:
    return ScimError(
        413,
        None,
        f"The body is larger than {MAX_BODY_BYTES} bytes. Send the change in smaller parts.",
    )
