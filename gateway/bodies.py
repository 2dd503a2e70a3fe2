"""The bodies of requests: they come in at their clients' pace, and together take little memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from chassis.metrics import Metrics
from gateway.exchange import MAX_BODY_BYTES, MEDIA_TYPE, Document
from gateway.scim import resource
from gateway.scim.errors import ScimError, invalid_syntax
from gateway.turned_away import full

MAX_HELD_BYTES: Final = 8 * MAX_BODY_BYTES
"""As JSON, as resources and as messages a body takes up to 25 times the bytes that came."""

_PLAIN: Final = "identity"
_ACCEPTED: Final = (MEDIA_TYPE, "application/json")

Hold = Callable[[int], None]
"""Holds so many more bytes for a request; refuses TurnedAwayError."""


class Bodies:
    """The bytes that requests have sent so far: so many at once, half of one organization at most.

    Only what has come is counted, so whoever sends slowly keeps little from others.
    """

    def __init__(self, limit: int = MAX_HELD_BYTES) -> None:
        self._limit = limit
        self._of: dict[str, int] = {}
        self.held = 0

    def observe(self, metrics: Metrics) -> None:
        """Let the metrics tell of them."""
        metrics.gauge("request_body_bytes", "Bytes of bodies in memory.", lambda: self.held)

    @contextmanager
    def of(self, organization_id: str) -> Iterator[Hold]:
        """Holds bytes of one request, until it is answered."""
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            of_all, of_one = self.held + size, self._of.get(organization_id, 0) + size
            if of_all > self._limit or of_one > self._limit // 2:
                raise full()
            self.held, self._of[organization_id] = of_all, of_one
            mine += size

        try:
            yield hold
        finally:
            self.held -= mine
            left = self._of.pop(organization_id, 0) - mine
            if left:
                self._of[organization_id] = left


class EncodedError(ScimError):
    """A body that is compressed (RFC 9110 section 12.5.3): none says how large it will be."""

    def __init__(self) -> None:
        super().__init__(415, None, "The body has a Content-Encoding; send it as it is.")
        self.headers = {"Accept-Encoding": _PLAIN}


class Body:
    """The body of one request: `receive` takes it in, `document` says what it is."""

    def __init__(self, request: web.Request, hold: Hold) -> None:
        self._request = request
        self._hold = hold
        self.data = b""

    async def receive(self) -> None:
        """Wait for the whole body.

        Refuses (415) media types that are not JSON and compressed bodies, (413)
        bodies over the limit, (503) more than there is memory for.
        """
        self._check_kind()
        if (self._request.content_length or 0) > MAX_BODY_BYTES:
            raise _too_large()
        try:
            self.data = await self._read()
        except web.RequestPayloadError:
            raise invalid_syntax("The body is not as long as it was said to be.") from None
        except ConnectionError:
            raise invalid_syntax("The connection ended before the body did.") from None

    async def document(self) -> Document:
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

    async def _read(self) -> bytes:
        parts, size = [], 0
        while part := await self._request.content.readany():
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise _too_large()
            self._hold(len(part))
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> ScimError:
    return ScimError(
        413,
        None,
        f"The body is larger than {MAX_BODY_BYTES} bytes. Send the change in smaller parts.",
    )
