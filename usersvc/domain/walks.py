"""Walks: lists that are read page by page, by the index of each page's first item."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

LIFETIME: Final = timedelta(hours=1)
"""How long after its last page a walk can be continued."""
MAX_WALKS: Final = 100
"""The number of walks that an organization keeps: the latest ones."""
MAX_WALKS_OF_LIST: Final = 4
"""The number of walks through one list, by one reader."""
MAX_POSITION_BYTES: Final = 32 * 1024
"""Enough for a position after the longest text that a list can be sorted by."""
DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ListKey:
    """A list and its reader. The digest is of all that distinguishes them."""

    organization_id: UUID
    digest: bytes


@dataclass(frozen=True, slots=True)
class Walk:
    """The state of a walk after a page. Only the gateway knows what a position contains."""

    walk_id: UUID
    page_index: int
    """The index of the first item of the page."""
    page_position: bytes
    next_index: int
    """The index of the first item of the next page."""
    next_position: bytes
    full_index: int
    """The index of the next page if the page had as many items as were requested."""
    total_size: int
