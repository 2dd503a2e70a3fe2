"""Positions in a list that is ordered by creation."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Position:
    """The position of an element in the order of creation. A page begins after a position."""

    create_time: datetime
    element_id: UUID


BEFORE_ALL: Final = Position(datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
AFTER_ALL: Final = Position(datetime(9999, 12, 31, tzinfo=UTC), UUID(int=2**128 - 1))
