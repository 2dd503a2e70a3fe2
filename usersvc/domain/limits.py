"""What a text may hold."""

from typing import Final

from chassis.errors import InvalidField

MAX_KEY_BYTES: Final = 1_024
"""The limit of texts that an index holds."""
MAX_TEXT_BYTES: Final = 8_192
TOO_LONG_FOLDED: Final = "is longer than 2,000 bytes in UTF-8 with its case folded"
"""What the `_size` constraints of the database refuse: folding can make a text longer."""


def check(field: str, text: str, limit: int) -> None:
    """Refuse (InvalidField) a text that is too long or holds what the database cannot."""
    # No character takes more than 4 bytes: most texts need not be encoded to be judged.
    if len(text) * 4 > limit and len(text.encode()) > limit:
        raise InvalidField(field, f"is longer than {limit:,} bytes of UTF-8")
    if "\0" in text:
        raise InvalidField(field, "contains the NUL character")
