"""What people type to search for."""

from collections.abc import Mapping
from typing import Final

MAX_TEXT: Final = 200


def search_text(parameters: Mapping[str, str]) -> str:
    """The text in an address, as far as a search can use it."""
    return parameters.get("q", "").replace("\0", "").strip()[:MAX_TEXT]
