"""Queries of lists: filter, order and the position of a page."""

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
    """A time with nanoseconds: `time` in microseconds, and whether the moment is `later`.

    `later` means that the moment is after `time` by less than a microsecond.
    """

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
    """The field has a value; a repeated field has an element."""

    field: str


@dataclass(frozen=True, slots=True)
class ElementMatch:
    """A single element of the repeated field satisfies the whole filter."""

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


@dataclass(frozen=True, slots=True)
class OneOf:
    """A field that equals one of several texts, made by `merge_equal`."""

    field: str
    values: tuple[str, ...]


Filter: TypeAlias = AllOf | AnyOf | Not | Comparison | Present | ElementMatch | OneOf


def merge_equal(filter_: Filter) -> Filter:
    """The same filter with the comparisons `field = text OR field = text …` merged into one.

    A filter of 200 ids is then one condition, which takes one argument.
    """
    match filter_:
        case AnyOf(filters):
            return _merge_any([merge_equal(each) for each in filters])
        case AllOf(filters):
            return AllOf(tuple([merge_equal(each) for each in filters]))
        case Not(inner):
            return Not(merge_equal(inner))
        case ElementMatch(field, inner):
            return ElementMatch(field, merge_equal(inner))
        case _:
            return filter_


def _merge_any(filters: list[Filter]) -> Filter:
    texts: dict[str, list[str]] = {}
    merged: list[Filter] = []
    for each in filters:
        match each:
            case Comparison(field, Operator.EQUAL, str(value)):
                texts.setdefault(field, []).append(value)
            case OneOf(field, values):
                texts.setdefault(field, []).extend(values)
            case _:
                merged.append(each)
    merged += [OneOf(field, tuple(values)) for field, values in texts.items()]
    return merged[0] if len(merged) == 1 else AnyOf(tuple(merged))


OrderKey: TypeAlias = str | bool | int | float | datetime | UUID | None


@dataclass(frozen=True, slots=True)
class Position:
    """The sort key and the id of the last item of the previous page."""

    key: OrderKey
    id: UUID


@dataclass(frozen=True, slots=True)
class Order:
    """The field and direction of a sort."""

    field: str = "id"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A request for one page of an organization's resources."""

    organization_id: UUID
    size: int
    filter: Filter | None = None
    order: Order = Order()
    after: Position | None = None
    skip: int = 0


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """The items of a page, and the position of the next page, if there is one."""

    items: list[Item]
    next: Position | None
    position: Callable[[int], Position] | None = None
    """Gives the position of the n-th item; None for a page that cannot be cut."""

    def first(self, count: int) -> "Page[Item]":
        """The page with only its first `count` items."""
        if self.position is None or count >= len(self.items):
            return self
        return Page(self.items[:count], self.position(count - 1))
