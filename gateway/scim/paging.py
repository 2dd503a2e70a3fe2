"""Which part of a list a client asks for (RFC 7644 section 3.4.2.4)."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.scim.errors import invalid_value, shown

MAX_PAGE: Final = 1000
DEFAULT_PAGE: Final = 100
MAX_START: Final = 2**31 - 1

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """`count` resources from the `start_index`-th on, the first being 1."""

    start_index: int
    count: int


def parse(start_index: str | None, count: str | None) -> Page:
    """The page asked for, brought within the limits; a text that is no integer is refused."""
    start = 1 if start_index is None else _integer("startIndex", start_index)
    size = DEFAULT_PAGE if count is None else _integer("count", count)
    return Page(
        # "A value less than 1 SHALL be interpreted as 1", "a negative value SHALL be interpreted
        # as 0": table 6.
        start_index=min(max(start, 1), MAX_START),
        count=min(max(size, 0), MAX_PAGE),
    )


def _integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise invalid_value(f"{name} is {shown(text)}; send a whole number, e.g. {name}=1.")
    return int(text.strip())
