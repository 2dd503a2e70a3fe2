"""Filters as SQL conditions.

Field names come from fixed lists and values are passed as arguments, so no text from a caller
becomes part of a statement.

An unassigned field is NULL, and a condition on NULL is neither true nor false. WHERE, AND and OR
treat it as false. Only a negation needs `IS NOT TRUE` for that.
"""

from math import isfinite
from typing import Final
from uuid import UUID

from chassis.errors import Refusal
from usersvc.domain.errors import INVALID_FILTER, UNKNOWN_FIELD
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
)
from usersvc.store.listing.fields import Field, Kind, Repeated, Scope, split

_RANGES: Final = {
    Operator.EQUAL: "=",
    Operator.GREATER_THAN: ">",
    Operator.GREATER_OR_EQUAL: ">=",
    Operator.LESS_THAN: "<",
    Operator.LESS_OR_EQUAL: "<=",
}
_PATTERNS: Final = {
    Operator.CONTAINS: "%{}%",
    Operator.STARTS_WITH: "{}%",
    Operator.ENDS_WITH: "%{}",
}
_EQUALITY: Final = (Operator.EQUAL, Operator.NOT_EQUAL)
_ESCAPES: Final = str.maketrans({character: "\\" + character for character in "\\%_"})

# Appended to a prefix, this sorts after every text with the prefix and before all later texts. It
# is the last code point, repeated more often than fits into an indexed text (2,000 bytes, 4 each).
_PREFIX_END: Final = "\U0010ffff" * 501


class Where:
    """Builds conditions and collects their arguments in the order of their `$n`.

    `$1` is the organization.
    """

    def __init__(self, organization_id: UUID) -> None:
        self.organization_id = organization_id
        self.arguments: list[object] = [organization_id]

    def argument(self, value: object) -> str:
        """Add an argument and return its `$n`."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def condition(self, filter_: Filter, scope: Scope, *, one: bool = False) -> str:
        """A filter as an SQL condition. `one` is true if the id already selects a single resource.

        Refuses UNKNOWN_FIELD and INVALID_FILTER.
        """
        match filter_:
            case AllOf(filters):
                one = one or any(map(_names_one, filters))
                return (
                    f"({' AND '.join([self.condition(each, scope, one=one) for each in filters])})"
                )
            case AnyOf(filters):
                return (
                    f"({' OR '.join([self.condition(each, scope, one=one) for each in filters])})"
                )
            case Not(inner):
                return f"({self.condition(inner, scope, one=one)} IS NOT TRUE)"
            case Comparison():
                return self._comparison(filter_, scope, one)
            case Present(name):
                return _present(name, scope)
            case ElementMatch():
                return self._element_match(filter_, scope, one)

    def _comparison(self, comparison: Comparison, scope: Scope, one: bool) -> str:
        field = scope.fields.get(comparison.field)
        if field is None:
            return self._any_element(comparison, scope, one)
        if field.prefix_index and comparison.operator is Operator.STARTS_WITH:
            return self._prefix(field, comparison)
        return self._compare(field, comparison)

    def _any_element(self, comparison: Comparison, scope: Scope, one: bool) -> str:
        outer, inner = split(comparison.field)
        repeated = scope.repeated.get(outer)
        if repeated is None or inner not in repeated.fields:
            raise Refusal(UNKNOWN_FIELD, comparison.field, "a comparison", "filter")
        match = ElementMatch(outer, Comparison(inner, comparison.operator, comparison.value))
        condition = self._element_match(match, scope, one)
        if comparison.operator is Operator.NOT_EQUAL:
            return f"(NOT ({repeated.present}) OR {condition})"
        return condition

    def _element_match(self, match: ElementMatch, scope: Scope, one: bool) -> str:
        repeated = scope.repeated.get(match.field)
        if repeated is None:
            raise Refusal(UNKNOWN_FIELD, match.field, "an element match", "filter")
        exists = repeated.exists(self.condition(match.filter, Scope(repeated.fields)))
        if one or not repeated.key:
            return exists
        keys = [self._key(repeated, value) for value in _required_values(match.filter)]
        return f"({' AND '.join([*keys, exists])})"

    def _key(self, repeated: Repeated, value: str) -> str:
        if repeated.fields["value"].kind is not Kind.REFERENCE:
            return repeated.key.format(self.argument(value))
        return repeated.key.format(self.argument(UUID(value))) if _is_canonical(value) else "false"

    def _prefix(self, field: Field, comparison: Comparison) -> str:
        """A range instead of LIKE, because only a range uses the index in a prepared statement."""
        value = comparison.value
        if not isinstance(value, str):
            raise _incomparable(comparison)
        return (
            f"({field.compared} >= fold({self.argument(value)})"
            f" AND {field.compared} < fold({self.argument(value + _PREFIX_END)}))"
        )

    def _compare(self, field: Field, comparison: Comparison) -> str:
        operator = comparison.operator
        match field.kind, comparison.value:
            case Kind.BOOLEAN, bool(value) if operator in _EQUALITY:
                condition = f"{field.sql} = {self.argument(value)}"
            case Kind.INTEGER, int(value) if operator not in _PATTERNS and not _is_boolean(value):
                condition = f"{field.sql} {_sql_operator(operator)} {self.argument(value)}::bigint"
            case Kind.DECIMAL, (int() | float()) as value if _is_number(operator, value):
                number = self.argument(float(value))
                condition = f"{field.sql} {_sql_operator(operator)} {number}::double precision"
            case Kind.TIME, Moment() as value if operator not in _PATTERNS:
                condition = self._compare_time(field, operator, value)
            case Kind.ID, str(value):
                condition = self._compare_id(field, operator, value)
            case Kind.REFERENCE, str(value) if operator in _EQUALITY:
                condition = self._compare_id(field, operator, value)
            case ((Kind.TEXT | Kind.EXACT_TEXT), str(value)):
                condition = self._compare_text(field, operator, value)
            case _:
                raise _incomparable(comparison)
        return f"(({condition}) IS NOT TRUE)" if operator is Operator.NOT_EQUAL else condition

    # `_compare` negates the condition for NOT_EQUAL. The functions below treat it as EQUAL.

    def _compare_text(self, field: Field, operator: Operator, value: str) -> str:
        pattern = _PATTERNS.get(operator)
        if pattern is None:
            sql_operator = _sql_operator(operator)
        else:
            # Folding after escaping is correct, because no character folds to or from \, % or _.
            sql_operator = "LIKE"
            value = pattern.format(value.translate(_ESCAPES))
        right = self.argument(value) + "::text"
        folded = f"fold({right})" if field.kind is Kind.TEXT else right
        condition = f'{field.compared} {sql_operator} {folded} COLLATE "C"'
        if field.has_hash_index and sql_operator == "=":
            return f"(text_hash({field.sql}) = text_hash({right}) AND {condition})"
        return condition

    def _compare_id(self, field: Field, operator: Operator, value: str) -> str:
        if operator not in _EQUALITY:
            text = Field(f"{field.sql}::text", Kind.EXACT_TEXT)
            return self._compare_text(text, operator, value)
        return f"{field.sql} = {self.argument(UUID(value))}" if _is_canonical(value) else "false"

    def _compare_time(self, field: Field, operator: Operator, moment: Moment) -> str:
        """Compare a time. Stored times are whole microseconds; none equals a time between two."""
        if moment.later:
            match operator:
                case Operator.EQUAL | Operator.NOT_EQUAL:
                    return "false"
                case Operator.GREATER_THAN | Operator.GREATER_OR_EQUAL:
                    operator = Operator.GREATER_THAN
                case _:
                    operator = Operator.LESS_OR_EQUAL
        return f"{field.sql} {_sql_operator(operator)} {self.argument(moment.time)}"


def is_selective(filter_: Filter, scope: Scope) -> bool:
    """Whether an index finds the few resources that can match a filter."""
    match filter_:
        case AllOf(filters):
            return any(is_selective(each, scope) for each in filters)
        case AnyOf(filters):
            return all(is_selective(each, scope) for each in filters)
        case Comparison(name, Operator.EQUAL):
            field = scope.fields.get(name)
            outer, inner = split(name)
            repeated = scope.repeated.get(outer) if inner == "value" else None
            return bool(field and field.is_key) or bool(repeated and repeated.key)
        case ElementMatch(name, inner_filter):
            repeated = scope.repeated.get(name)
            return bool(repeated and repeated.key) and bool(_required_values(inner_filter))
        case _:
            return False


def _present(name: str, scope: Scope) -> str:
    if name in scope.fields:
        return f"{scope.fields[name].sql} IS NOT NULL"
    if name in scope.composite:
        return f"num_nonnulls({', '.join(scope.composite[name])}) > 0"
    if name in scope.repeated:
        return scope.repeated[name].present
    outer, inner = split(name)
    repeated = scope.repeated.get(outer)
    if repeated is None or inner not in repeated.fields:
        raise Refusal(UNKNOWN_FIELD, name, "a filter", "filter")
    return repeated.exists(f"{repeated.fields[inner].sql} IS NOT NULL")


def _names_one(filter_: Filter) -> bool:
    match filter_:
        case Comparison("id", Operator.EQUAL):
            return True
        case _:
            return False


def _required_values(filter_: Filter) -> list[str]:
    """The values that `value` of an element must equal to satisfy a filter."""
    conditions = filter_.filters if isinstance(filter_, AllOf) else (filter_,)
    return [
        condition.value
        for condition in conditions
        if isinstance(condition, Comparison)
        and (condition.field, condition.operator) == ("value", Operator.EQUAL)
        and isinstance(condition.value, str)
    ]


def _incomparable(comparison: Comparison) -> Refusal:
    return Refusal(
        INVALID_FILTER, f"{comparison.field} cannot be compared with this operator and value."
    )


def _sql_operator(operator: Operator) -> str:
    return "=" if operator is Operator.NOT_EQUAL else _RANGES[operator]


def _is_canonical(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(operator: Operator, value: float) -> bool:
    return operator not in _PATTERNS and not isinstance(value, bool) and isfinite(value)
