"""Walks: a client reads a list page by page, and names each page by its first item's index."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

LIFETIME: Final = timedelta(hours=1)
"""The time after its latest page in which a walk can be continued."""
MAX_WALKS: Final = 100
"""The number of walks that an organization keeps: the latest ones."""
MAX_WALKS_OF_LIST: Final = 4
"""The number of walks that one reader has through one list: the latest ones."""
MAX_POSITION_BYTES: Final = 32 * 1024
"""Enough for a position after the longest text that a list can be sorted by."""
DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ListKey:
    """Identifies a list and its reader. The digest covers everything that tells them apart."""

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
    """The index of the next page as if this page had as many items as the client requested.

    Some clients compute the next index in this way.
    """
    total_size: int
