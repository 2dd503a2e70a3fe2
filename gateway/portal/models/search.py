"""The text of a search field."""

from collections.abc import Mapping
from typing import Final

MAX_TEXT: Final = 200


def search_text(parameters: Mapping[str, str]) -> str:
    """The query parameter `q`, without NUL and surrounding space, cut at MAX_TEXT characters."""
    return parameters.get("q", "").replace("\0", "").strip()[:MAX_TEXT]
