"""Filters applied to resources in memory; the store applies them in SQL."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.scim import values
from gateway.scim.filter.tree import (
    And,
    Compare,
    ElementMatch,
    Filter,
    Not,
    Operator,
    Or,
    Present,
    Value,
)
from gateway.scim.schema import Attribute, AttributePath
from gateway.scim.values import Json


def matches(tree: Filter, resource: Mapping[str, Any]) -> bool:  # noqa: PLR0911
    """Whether a canonical resource satisfies a filter."""
    match tree:
        case And(operands):
            return all(matches(each, resource) for each in operands)
        case Or(operands):
            return any(matches(each, resource) for each in operands)
        case Not(operand):
            return not matches(operand, resource)
        case ElementMatch(path, inner):
            return any(element_matches(inner, each) for each in _elements(path, resource))
        case Present(path):
            return bool(_values(path, resource))
        case Compare(path, operator, value):
            found = _values(path, resource)
            if operator is Operator.NE and not path.attribute.multi_valued:
                return not any(_satisfies(path.target, Operator.EQ, value, each) for each in found)
            return any(_satisfies(path.target, operator, value, each) for each in found)


def element_matches(tree: Filter, element: Json) -> bool:  # noqa: PLR0911
    """Whether one element of a multi-valued attribute satisfies the filter of a value path."""
    match tree:
        case And(operands):
            return all(element_matches(each, element) for each in operands)
        case Or(operands):
            return any(element_matches(each, element) for each in operands)
        case Not(operand):
            return not element_matches(operand, element)
        case Present(path):
            return _of_element(path, element) is not None
        case Compare(path, operator, value):
            found = _of_element(path, element)
            if found is None:
                return operator is Operator.NE
            return _satisfies(path.target, operator, value, found)
        case ElementMatch():
            return False  # the grammar has none within brackets


def _elements(path: AttributePath, resource: Mapping[str, Any]) -> list[Any]:
    holder = resource.get(path.extension) if path.extension else resource
    found = holder.get(path.attribute.name) if holder else None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _values(path: AttributePath, resource: Mapping[str, Any]) -> list[Any]:
    elements = _elements(path, resource)
    if path.sub_attribute is None:
        return elements
    return [v for v in (_of_element(path, each) for each in elements) if v is not None]


def _of_element(path: AttributePath, element: Json) -> Json:
    return element.get(path.sub_attribute.name) if path.sub_attribute else element


def _satisfies(attribute: Attribute, operator: Operator, wanted: Value, found: Json) -> bool:
    if isinstance(wanted, datetime):
        found = values.date_time(found)
        return found is not None and _compare(operator, found, wanted)
    return _compare(operator, values.folded(attribute, found), values.folded(attribute, wanted))


def _compare(operator: Operator, found: Json, wanted: Json) -> bool:  # noqa: PLR0911
    match operator:
        case Operator.EQ:
            return bool(found == wanted)
        case Operator.NE:
            return bool(found != wanted)
        case Operator.CO:
            return wanted in found
        case Operator.SW:
            return bool(found.startswith(wanted))
        case Operator.EW:
            return bool(found.endswith(wanted))
        case Operator.GT:
            return bool(found > wanted)
        case Operator.GE:
            return bool(found >= wanted)
        case Operator.LT:
            return bool(found < wanted)
        case Operator.LE:
            return bool(found <= wanted)
