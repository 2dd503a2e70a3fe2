"""Conversion of filter messages to domain filters."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from cloudacademy.users.v1 import filter_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import Refusal
from usersvc.domain.errors import INVALID_FILTER
from usersvc.domain.extensions import is_urn
from usersvc.domain.filters import (
    AllOf,
    AnyOf,
    Comparison,
    ElementMatch,
    Filter,
    Moment,
    Not,
    Operator,
    Present,
    Value,
)

MAX_CONDITIONS: Final = 200
MAX_LEVELS: Final = 30

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OPERATORS: Final = {
    filter_pb2.Operator.Value(f"OPERATOR_{operator.name}"): operator for operator in Operator
}


def to_filter(message: filter_pb2.Filter) -> Filter:
    """The filter in a message.

    Refuses (INVALID_FILTER) a filter of more than MAX_LEVELS levels or MAX_CONDITIONS conditions,
    and one in which a required part is not set.
    """
    filter_ = _convert(message, MAX_LEVELS)
    if sum(1 for _ in _conditions(filter_)) > MAX_CONDITIONS:
        raise Refusal(INVALID_FILTER, f"The filter has more than {MAX_CONDITIONS} conditions.")
    return filter_


def names_extension(message: filter_pb2.Filter) -> bool:
    """Whether any condition of a filter names an attribute of an organization's own schema."""
    if message.HasField("negation"):
        return names_extension(message.negation)
    operands = (*message.all_of.filters, *message.any_of.filters)
    names = (message.comparison.field, message.present, message.element.field)
    return any(map(is_urn, names)) or any(map(names_extension, operands))


def _convert(message: filter_pb2.Filter, levels: int) -> Filter:
    if levels == 0:
        raise Refusal(INVALID_FILTER, f"The filter is nested more than {MAX_LEVELS} levels deep.")
    match message.WhichOneof("expression"):
        case "comparison":
            return _comparison(message.comparison)
        case "all_of":
            return AllOf(_operands(message.all_of, levels))
        case "any_of":
            return AnyOf(_operands(message.any_of, levels))
        case "negation":
            return Not(_convert(message.negation, levels - 1))
        case "present":
            return Present(message.present)
        case "element":
            return ElementMatch(message.element.field, _convert(message.element.filter, levels - 1))
        case _:
            raise Refusal(INVALID_FILTER, "A condition of the filter is not set.")


def _operands(message: filter_pb2.AllOf | filter_pb2.AnyOf, levels: int) -> tuple[Filter, ...]:
    if not message.filters:
        raise Refusal(INVALID_FILTER, "The filter combines no conditions.")
    if len(message.filters) > MAX_CONDITIONS:
        raise Refusal(INVALID_FILTER, f"The filter has more than {MAX_CONDITIONS} conditions.")
    return tuple([_convert(each, levels - 1) for each in message.filters])


def _conditions(filter_: Filter) -> Iterator[Filter]:
    """The comparisons and presence tests in a filter."""
    match filter_:
        case AllOf(filters) | AnyOf(filters):
            for each in filters:
                yield from _conditions(each)
        case Not(inner) | ElementMatch(_, inner):
            yield from _conditions(inner)
        case _:
            yield filter_


def _comparison(message: filter_pb2.Comparison) -> Comparison:
    operator = _OPERATORS.get(message.operator)
    if operator is None:
        raise Refusal(
            INVALID_FILTER, f"The operator in the comparison of {message.field} is unknown."
        )
    return Comparison(message.field, operator, _value(message))


def _value(message: filter_pb2.Comparison) -> Value:
    match message.WhichOneof("value"):
        case "text":
            if "\0" in message.text:
                raise Refusal(
                    INVALID_FILTER, f"The value for {message.field} contains the NUL character."
                )
            return message.text
        case "boolean":
            return message.boolean
        case "integer":
            return message.integer
        case "decimal":
            return message.decimal
        case "time":
            return _moment(message.time)
        case _:
            raise Refusal(INVALID_FILTER, f"The comparison of {message.field} has no value.")


def _moment(time: Timestamp) -> Moment:
    if not 0 <= time.nanos < 1_000_000_000:
        raise Refusal(INVALID_FILTER, "The filter contains an invalid timestamp.")
    microseconds, rest = divmod(time.nanos, 1_000)
    try:
        since = timedelta(seconds=time.seconds, microseconds=microseconds)
        return Moment(_EPOCH + since, later=rest > 0)
    except OverflowError:
        raise Refusal(INVALID_FILTER, "The filter contains an invalid timestamp.") from None
