"""The syntax tree of a filter (RFC 7644 section 3.4.2.2), with resolved attribute names."""

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
    """True if a value satisfies it; `ne` also if a single-valued attribute is absent."""

    path: AttributePath
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Present:
    path: AttributePath


@dataclass(frozen=True, slots=True)
class ElementMatch:
    """True if one element of `path` satisfies `filter`; its paths also start at the resource."""

    path: AttributePath
    filter: "Filter"


Filter = And | Or | Not | Compare | Present | ElementMatch


def nodes(tree: Filter) -> Iterator[Filter]:
    """The filter and all filters within it."""
    yield tree
    match tree:
        case And(operands) | Or(operands):
            for each in operands:
                yield from nodes(each)
        case Not(inner) | ElementMatch(_, inner):
            yield from nodes(inner)
