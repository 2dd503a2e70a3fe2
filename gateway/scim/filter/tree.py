"""What a filter means (RFC 7644 section 3.4.2.2), once its names are resolved."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.scim.schema import AttributePath


class Operator(StrEnum):
    EQ = "eq"
    NE = "ne"
    CO = "co"
    SW = "sw"
    EW = "ew"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


Value = str | bool | int | float | datetime


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Filter"


@dataclass(frozen=True, slots=True)
class Compare:
    """`ne` holds where a single-valued attribute is absent; else some value has to satisfy it."""

    path: AttributePath
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Present:
    path: AttributePath


@dataclass(frozen=True, slots=True)
class ElementMatch:
    """One element of `path` satisfies `filter`, whose own paths lead from the resource, too."""

    path: AttributePath
    filter: "Filter"


Filter = And | Or | Not | Compare | Present | ElementMatch


def nodes(tree: Filter) -> Iterator[Filter]:
    """The filter and all the filters it is made of."""
    yield tree
    match tree:
        case And(operands) | Or(operands):
            for each in operands:
                yield from nodes(each)
        case Not(inner) | ElementMatch(_, inner):
            yield from nodes(inner)
