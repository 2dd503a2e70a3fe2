"""What to list: conditions, an order, and where a page begins."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID


class Operator(Enum):
    """How a field is compared with a value."""

    EQUAL = auto()
    NOT_EQUAL = auto()
    CONTAINS = auto()
    STARTS_WITH = auto()
    ENDS_WITH = auto()
    GREATER_THAN = auto()
    GREATER_OR_EQUAL = auto()
    LESS_THAN = auto()
    LESS_OR_EQUAL = auto()


@dataclass(frozen=True, slots=True)
class Moment:
    """A time to the nanosecond: `time`, or `later` than it by less than a microsecond."""

    time: datetime
    later: bool = False


Value: TypeAlias = str | bool | int | float | Moment


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared with a value."""

    field: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Present:
    """A field that has a value, or a repeated one with elements."""

    field: str


@dataclass(frozen=True, slots=True)
class ElementMatch:
    """One and the same element of a repeated field satisfies the filter."""

    field: str
    filter: "Filter"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every filter holds."""

    filters: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one filter holds."""

    filters: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The filter does not hold."""

    filter: "Filter"


Filter: TypeAlias = AllOf | AnyOf | Not | Comparison | Present | ElementMatch

OrderKey: TypeAlias = str | bool | int | float | datetime | UUID | None


@dataclass(frozen=True, slots=True)
class Position:
    """The last one of the page before: its key in the order, and its id."""

    key: OrderKey
    id: UUID


@dataclass(frozen=True, slots=True)
class Order:
    """The field to sort by."""

    field: str = "id"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One page of what an organization has of a resource."""

    organization_id: UUID
    size: int
    filter: Filter | None = None
    order: Order = Order()
    after: Position | None = None
    skip: int = 0


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some of a list in its order, and where the next page begins, if there is one."""

    items: list[Item]
    next: Position | None
    position: Callable[[int], Position] | None = None
    """The position of the n-th item, for lists that can be cut short."""

    def first(self, count: int) -> "Page[Item]":
        """The page cut short to its first items."""
        if self.position is None or count >= len(self.items):
            return self
        return Page(self.items[:count], self.position(count - 1))
