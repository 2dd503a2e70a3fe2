"""The size limits of texts, in bytes of UTF-8."""

from typing import Final

from chassis.errors import InvalidField

MAX_KEY_BYTES: Final = 1_024
"""The limit for indexed texts."""
MAX_TEXT_BYTES: Final = 8_192
TOO_LONG_FOLDED: Final = "is longer than 2,000 bytes in UTF-8 with its case folded"
"""The message for the `_size` constraints of the database, because case folding can lengthen a
text."""


def check(field: str, text: str, limit: int) -> None:
    """Refuse (InvalidField) a text of more than `limit` bytes of UTF-8, or with a NUL character.

    PostgreSQL cannot store NUL characters.
    """
    # A character takes at most 4 bytes, so short texts are accepted without encoding them.
    if len(text) * 4 > limit and len(text.encode()) > limit:
        raise InvalidField(field, f"is longer than {limit:,} bytes of UTF-8")
    if "\0" in text:
        raise InvalidField(field, "contains the NUL character")
