"""Page tokens of lists in the order of creation."""

import base64
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from chassis.errors import INVALID_PAGE_TOKEN, Refusal
from keysvc.domain.pages import Position

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAYOUT: Final = struct.Struct(">q16sI")
ALL_ORGANIZATIONS: Final = UUID(int=0)
"""The scope of a list that does not belong to one organization."""


def to_token(scope: UUID, position: Position) -> str:
    """A token that `from_token` accepts only for the same scope."""
    micros = (position.create_time - _EPOCH) // timedelta(microseconds=1)
    checksum = _checksum(scope, micros, position.element_id)
    packed = _LAYOUT.pack(micros, position.element_id.bytes, checksum)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def from_token(scope: UUID, token: str, first: Position) -> Position:
    """The position before the page; `first` without a token. Refuses INVALID_PAGE_TOKEN."""
    if not token:
        return first
    try:
        packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        micros, element_id, _ = _LAYOUT.unpack(packed)
        position = Position(_EPOCH + timedelta(microseconds=micros), UUID(bytes=element_id))
    except (ValueError, struct.error, OverflowError):
        raise _invalid_token() from None
    # The checksum detects tokens of other lists. A token has no secrets and needs no signature.
    if token != to_token(scope, position):
        raise _invalid_token()
    return position


def _invalid_token() -> Refusal:
    return Refusal(INVALID_PAGE_TOKEN, "page_token: not a token of this list. Begin without one.")


def _checksum(scope: UUID, micros: int, element_id: UUID) -> int:
    return zlib.crc32(scope.bytes + struct.pack(">q", micros) + element_id.bytes)
