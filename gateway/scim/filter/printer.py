"""Prints a filter as text that parses to the same tree."""

from datetime import datetime

import orjson

from gateway.scim.filter.tree import And, Compare, ElementMatch, Filter, Not, Or, Present, Value
from gateway.scim.schema import AttributePath


def to_text(tree: Filter) -> str:
    """The filter as a text that parses to the same tree."""
    return _text(tree, None)


def _text(tree: Filter, element: AttributePath | None) -> str:
    match tree:
        case And(operands):
            return " and ".join(_operand(each, element) for each in operands)
        case Or(operands):
            return " or ".join(_operand(each, element) for each in operands)
        case Not(operand):
            return f"not ({_text(operand, element)})"
        case ElementMatch(path, inner):
            return f"{path.text}[{_text(inner, path)}]"
        case Present(path):
            return f"{_name(path, element)} pr"
        case Compare(path, operator, value):
            return f"{_name(path, element)} {operator} {_literal_text(value)}"


def _operand(tree: Filter, element: AttributePath | None) -> str:
    text = _text(tree, element)
    return f"({text})" if isinstance(tree, And | Or) else text


def _name(path: AttributePath, element: AttributePath | None) -> str:
    if element is None:
        return path.text
    return path.sub_attribute.name if path.sub_attribute else "value"


def _literal_text(value: Value) -> str:
    return orjson.dumps(value.isoformat() if isinstance(value, datetime) else value).decode()
