"""Cursors (RFC 9865): opaque, signed, and valid for an hour.

A cursor is a position in a list. Its signature makes it valid only unchanged, and only for the
organization and the query that it was issued for.
"""

import base64
import binascii
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from chassis.clock import Clock
from gateway.scim.errors import ScimError
from gateway.signing.shared_secrets import SharedSecrets

LIFETIME: Final = timedelta(hours=1)
MAX_LENGTH: Final = 24_576
"""Enough for a position after the longest text that a list can be sorted by."""

_TIME_BYTES: Final = 6
_SIGNATURE_BYTES: Final = 16


class Cursors:
    """Signs and verifies cursors with secrets that all gateways of a region share."""

    def __init__(self, secrets: SharedSecrets, clock: Clock) -> None:
        self._signer = secrets.cursor_signer()
        self._clock = clock

    def sign(self, organization_id: str, query: str, position: str) -> str:
        """A signed cursor for a position; it needs no escaping in a URL."""
        end = int((self._clock() + LIFETIME).timestamp()).to_bytes(_TIME_BYTES, "big")
        rest = end + position.encode()
        signature = self._signer.sign(_signed(organization_id, query, rest), _SIGNATURE_BYTES)
        return _encoded(signature + rest)

    def verify(self, organization_id: str, query: str, cursor: str) -> str:
        """The position in a cursor, after its signature is verified.

        Refuses (invalidCursor) a cursor that this region did not issue to the organization for this
        query, and (expiredCursor) one that is older than LIFETIME.
        """
        content = _decoded(cursor)
        signature, rest = content[:_SIGNATURE_BYTES], content[_SIGNATURE_BYTES:]
        message = _signed(organization_id, query, rest)
        if not self._signer.verify(message, signature, _SIGNATURE_BYTES):
            raise invalid_cursor()
        end = datetime.fromtimestamp(int.from_bytes(rest[:_TIME_BYTES], "big"), UTC)
        if self._clock() >= end:
            raise ScimError(
                400,
                "expiredCursor",
                f"The cursor expired after {LIFETIME.seconds // 60} minutes. Start the list again "
                "with an empty cursor.",
            )
        return rest[_TIME_BYTES:].decode()


def _signed(organization_id: str, query: str, rest: bytes) -> bytes:
    """What the signature of a cursor covers."""
    return organization_id.encode() + b"\0" + hashlib.sha256(query.encode()).digest() + rest


def invalid_cursor() -> ScimError:
    """The error for a cursor that was not issued for this list (RFC 9865 section 2.1)."""
    return ScimError(
        400,
        "invalidCursor",
        "The cursor was not issued for this list. Send nextCursor of the previous page with all "
        "other parameters unchanged, or start again with an empty cursor.",
    )


def _encoded(content: bytes) -> str:
    # RFC 9865 section 2: only characters of RFC 3986's unreserved set.
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(cursor: str) -> bytes:
    if len(cursor) > MAX_LENGTH:
        raise invalid_cursor()
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        content = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise invalid_cursor() from None
    if _encoded(content) != cursor:  # another encoding of the same bytes
        raise invalid_cursor()
    return content
