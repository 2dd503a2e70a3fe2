"""Filters as SQL conditions.

Field names come from fixed lists and values are passed as arguments, so no text from a caller
becomes part of a statement.

An unassigned field is NULL, and a condition on NULL is neither true nor false. WHERE, AND and OR
treat it as false. Only a negation needs `IS NOT TRUE` for that.
"""

from collections.abc import Iterable
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
    OneOf,
    Operator,
    Present,
)
from usersvc.store.listing.fields import Field, Kind, Scope, split

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
PREFIX_END: Final = "\U0010ffff" * 501


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

    def condition(self, filter_: Filter, scope: Scope) -> str:
        """A filter as an SQL condition. Refuses UNKNOWN_FIELD and INVALID_FILTER."""
        match filter_:
            case AllOf(filters) | AnyOf(filters):
                word = " AND " if isinstance(filter_, AllOf) else " OR "
                return f"({word.join([self.condition(each, scope) for each in filters])})"
            case Not(inner):
                return f"({self.condition(inner, scope)} IS NOT TRUE)"
            case Comparison():
                return self._comparison(filter_, scope)
            case OneOf():
                return self._one_of(filter_, scope)
            case Present(name):
                return _present(name, scope)
            case ElementMatch():
                return self._element_match(filter_, scope)

    def _one_of(self, one_of: OneOf, scope: Scope) -> str:
        name, values = one_of.field, one_of.values
        field = scope.fields.get(name)
        if field is None:
            outer, inner = _element_field(name, scope)
            return self._element_match(ElementMatch(outer, OneOf(inner, values)), scope)
        match field.kind:
            case Kind.ID | Kind.REFERENCE:
                return f"{field.sql} = ANY({self.argument(canonical_ids(values))}::uuid[])"
            case Kind.TEXT:
                texts = f"{self.argument(list(values))}::text[]"
                folded = f"ARRAY(SELECT fold(text) FROM unnest({texts}) AS text)"  # noqa: S608
                return f'{field.compared} COLLATE "C" = ANY({folded})'
            case Kind.EXACT_TEXT:
                return f'{field.sql} COLLATE "C" = ANY({self.argument(list(values))}::text[])'
            case _:
                raise _incomparable(Comparison(name, Operator.EQUAL, values[0]))

    def _comparison(self, comparison: Comparison, scope: Scope) -> str:
        field = scope.fields.get(comparison.field)
        if field is None:
            return self._any_element(comparison, scope)
        if field.prefix_index and comparison.operator is Operator.STARTS_WITH:
            return self._prefix(field, comparison)
        return self._compare(field, comparison)

    def _any_element(self, comparison: Comparison, scope: Scope) -> str:
        outer, inner = _element_field(comparison.field, scope)
        match = ElementMatch(outer, Comparison(inner, comparison.operator, comparison.value))
        condition = self._element_match(match, scope)
        if comparison.operator is Operator.NOT_EQUAL:
            return f"(NOT ({scope.repeated[outer].present}) OR {condition})"
        return condition

    def _element_match(self, match: ElementMatch, scope: Scope) -> str:
        repeated = scope.repeated.get(match.field)
        if repeated is None:
            raise Refusal(UNKNOWN_FIELD, match.field, "an element match", "filter")
        return repeated.exists(self.condition(match.filter, Scope(repeated.fields)))

    def _prefix(self, field: Field, comparison: Comparison) -> str:
        """A range instead of LIKE, because only a range uses the index in a prepared statement."""
        value = comparison.value
        if not isinstance(value, str):
            raise _incomparable(comparison)
        return (
            f"({field.compared} >= fold({self.argument(value)})"
            f" AND {field.compared} < fold({self.argument(value + PREFIX_END)}))"
        )

    def _compare(self, field: Field, comparison: Comparison) -> str:
        operator = comparison.operator
        match field.kind, comparison.value:
            case Kind.BOOLEAN, bool(value) if operator in _EQUALITY:
                unassigned_matches = field.false_if_unassigned and not value
                sql = f"({field.sql} IS TRUE)" if unassigned_matches else field.sql
                condition = f"{sql} = {self.argument(value)}"
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
        return (
            equals(field, right) if sql_operator == "=" else _compared(field, sql_operator, right)
        )

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


def equals(field: Field, right: str) -> str:
    """The condition that a text field equals `right`, in a form that the field's index serves."""
    condition = _compared(field, "=", right)
    if field.has_hash_index:
        return f"(text_hash({field.sql}) = text_hash({right}) AND {condition})"
    return condition


def canonical_ids(texts: Iterable[str]) -> list[UUID]:
    """The canonical UUIDs among texts. No other text is the id of a resource."""
    return [UUID(text) for text in texts if _is_canonical(text)]


def _compared(field: Field, sql_operator: str, right: str) -> str:
    folded = f"fold({right})" if field.kind is Kind.TEXT else right
    return f'{field.compared} {sql_operator} {folded} COLLATE "C"'


def _element_field(name: str, scope: Scope) -> tuple[str, str]:
    """A repeated field and the field of its elements. Refuses UNKNOWN_FIELD."""
    outer, inner = split(name)
    repeated = scope.repeated.get(outer)
    if repeated is None or inner not in repeated.fields:
        raise Refusal(UNKNOWN_FIELD, name, "a comparison", "filter")
    return outer, inner


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
