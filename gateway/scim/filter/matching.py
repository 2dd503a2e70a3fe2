"""Evaluates filters on resources in memory; for lists, usersvc evaluates them in SQL."""

import operator as operators
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from gateway.scim import values
from gateway.scim.case_folding import fold
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

Test = Callable[[Json], bool]
"""Whether a value satisfies a condition."""


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
            return any(map(element_test(inner), _elements(path, resource)))
        case Present(path):
            return bool(_values(path, resource))
        case Compare(path, operator, value):
            found = _values(path, resource)
            if operator is Operator.NE and not path.attribute.multi_valued:
                return not any(map(_value_test(path.target, Operator.EQ, value), found))
            return any(map(_value_test(path.target, operator, value), found))


def element_test(tree: Filter) -> Test:
    """Compile the filter of a value path to a test of one element; it runs on many elements."""
    match tree:
        case And(operands):
            tests = [element_test(each) for each in operands]
            return lambda element: all(test(element) for test in tests)
        case Or(operands):
            tests = [element_test(each) for each in operands]
            return lambda element: any(test(element) for test in tests)
        case Not(operand):
            negated = element_test(operand)
            return lambda element: not negated(element)
        case Present(path):
            return _part_test(path, lambda _: True, absent=False)
        case Compare(path, operator, value):
            test = _value_test(path.target, operator, value)
            return _part_test(path, test, absent=operator is Operator.NE)
        case ElementMatch():
            return lambda _: False  # the grammar does not allow it within brackets


def _part_test(path: AttributePath, test: Test, *, absent: bool) -> Test:
    """A test of the sub-attribute that the path names; `absent` is the result without it."""
    if path.sub_attribute is None:
        return test
    name = path.sub_attribute.name

    def part_test(element: Json) -> bool:
        found = element.get(name)
        return absent if found is None else test(found)

    return part_test


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
    name = path.sub_attribute.name
    return [v for v in (each.get(name) for each in elements) if v is not None]


def _value_test(attribute: Attribute, operator: Operator, wanted: Value) -> Test:
    compare = _COMPARISONS[operator]
    if isinstance(wanted, datetime):

        def test_time(found: Json) -> bool:
            moment = values.date_time(found)
            return moment is not None and bool(compare(moment, wanted))

        return test_time
    folded = values.folded(attribute, wanted)
    if isinstance(wanted, str) and not attribute.case_exact:
        return lambda found: bool(compare(fold(found), folded))
    return lambda found: bool(compare(found, folded))


_COMPARISONS: Final[Mapping[Operator, Callable[[Any, Any], object]]] = {
    Operator.EQ: operators.eq,
    Operator.NE: operators.ne,
    Operator.CO: operators.contains,
    Operator.SW: str.startswith,
    Operator.EW: str.endswith,
    Operator.GT: operators.gt,
    Operator.GE: operators.ge,
    Operator.LT: operators.lt,
    Operator.LE: operators.le,
}
