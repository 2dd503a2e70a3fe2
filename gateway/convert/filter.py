"""Converts a SCIM filter to a protobuf filter."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from cloudacademy.users.v1 import filter_pb2 as pb

from chassis.rpc.timestamps import to_timestamp
from gateway.convert.extension import is_custom
from gateway.convert.user import field_name
from gateway.scim.errors import ScimError, invalid_filter
from gateway.scim.filter import And, Compare, ElementMatch, Filter, Not, Operator, Or, Present
from gateway.scim.schema import AttributePath

_OPERATORS: Final = {
    "eq": pb.OPERATOR_EQUAL,
    "ne": pb.OPERATOR_NOT_EQUAL,
    "co": pb.OPERATOR_CONTAINS,
    "sw": pb.OPERATOR_STARTS_WITH,
    "ew": pb.OPERATOR_ENDS_WITH,
    "gt": pb.OPERATOR_GREATER_THAN,
    "ge": pb.OPERATOR_GREATER_OR_EQUAL,
    "lt": pb.OPERATOR_LESS_THAN,
    "le": pb.OPERATOR_LESS_OR_EQUAL,
}
_EQUALITY: Final = (Operator.EQ, Operator.NE)

_Name = Callable[[AttributePath], str]


def to_filter(filter_: Filter) -> pb.Filter:
    """Convert a filter to the message of the internal API.

    Refuses (invalidFilter) an attribute that is returned but not stored, such as `meta.location`.
    """
    return _convert(filter_, _field)


def _convert(filter_: Filter, name: _Name) -> pb.Filter:
    match filter_:
        case And(operands):
            return pb.Filter(all_of=pb.AllOf(filters=_each(operands, name)))
        case Or(operands):
            return pb.Filter(any_of=pb.AnyOf(filters=_each(operands, name)))
        case Not(operand):
            return pb.Filter(negation=_convert(operand, name))
        case Present(path):
            return pb.Filter(present=name(path))
        case ElementMatch(path, inner):
            return pb.Filter(
                element=pb.ElementMatch(field=name(path), filter=_convert(inner, _sub_field))
            )
        case Compare():
            return pb.Filter(comparison=_comparison(filter_, name))


def _each(operands: Sequence[Filter], name: _Name) -> list[pb.Filter]:
    return [_convert(operand, name) for operand in operands]


def _comparison(compare: Compare, name: _Name) -> pb.Comparison:
    if compare.operator not in _EQUALITY and _is_resource_id(compare.path):
        raise invalid_filter(
            f"The operator {compare.operator} does not apply to {compare.path};"
            " use eq, ne or pr, with a complete id."
        )
    comparison = pb.Comparison(
        field=name(compare.path), operator=_OPERATORS[compare.operator.value]
    )
    match compare.value:
        case bool(value):
            comparison.boolean = value
        case datetime() as value:
            comparison.time.CopyFrom(to_timestamp(value))
        case int(value):
            comparison.integer = value
        case float(value):
            comparison.decimal = value
        case value:
            comparison.text = str(value)
    return comparison


def _is_resource_id(path: AttributePath) -> bool:
    """Whether an attribute holds ids that usersvc stores as references: of members and groups."""
    attribute = path.attribute
    return path.extension is None and attribute.is_reference and path.target is attribute.value


def _field(path: AttributePath) -> str:
    name = field_name(path)
    if name is None:
        raise _not_filterable(path)
    return name


def _sub_field(path: AttributePath) -> str:
    """The name of an attribute within `emails[…]`, which is relative to the element."""
    if is_custom(path):
        return path.sub_attribute.name if path.sub_attribute else "value"
    name = field_name(path)
    if name is None:
        raise _not_filterable(path)
    return name.rpartition(".")[2]


def _not_filterable(path: AttributePath) -> ScimError:
    return invalid_filter(f"{path} cannot be used in a filter. Filter by another attribute.")
