"""Parsing of UUIDs in requests."""

import re
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EXAMPLE: Final = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in the form of RFC 9562 section 4, in upper or lower case.

    `uuid.UUID` also accepts braces, a URN and a text without hyphens.
    """
    return _UUID.fullmatch(text) is not None


def read_uuid(field: str, text: str) -> UUID:
    """The UUID in a field of a request. Refuses (InvalidField) every other form."""
    if not is_uuid(text):
        raise InvalidField(field, f"must be a UUID such as {_EXAMPLE}")
    return UUID(text)
