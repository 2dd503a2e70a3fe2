"""Index-based pagination (RFC 7644 section 3.4.2.4)."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.scim.errors import describe, invalid_value

MAX_PAGE_SIZE: Final = 1000
DEFAULT_PAGE_SIZE: Final = 100
MAX_START_INDEX: Final = 2**31 - 1

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """`count` resources, starting at `start_index`, which counts from 1."""

    start_index: int
    count: int


def parse(start_index: str | None, count: str | None) -> Page:
    """Parse the parameters and clamp them to the limits; refuses a non-integer (invalidValue)."""
    start = 1 if start_index is None else _integer("startIndex", start_index)
    size = DEFAULT_PAGE_SIZE if count is None else _integer("count", count)
    return Page(
        # "A value less than 1 SHALL be interpreted as 1", "a negative value SHALL be interpreted
        # as 0": table 6.
        start_index=min(max(start, 1), MAX_START_INDEX),
        count=min(max(size, 0), MAX_PAGE_SIZE),
    )


def _integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise invalid_value(f"{name} is {describe(text)}; send a whole number, e.g. {name}=1.")
    return int(text.strip())
