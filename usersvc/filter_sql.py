"""Filters and orders as SQL: the only statements whose text is not written down as it runs.

Names come from the lists in `fields` alone and values travel as arguments, so
nothing that a caller sends becomes part of a statement's text.

An unassigned field is NULL, and a condition on NULL neither holds nor fails.
WHERE, AND and OR take that for "does not hold", so only a negation has to make
it so: `IS NOT TRUE`.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from usersvc.errors import InvalidFilter, UnknownField
from usersvc.fields import COMPOSITE, FIELDS, REPEATED, Field, Kind, order_field
from usersvc.filters import (
    AllOf,
    AnyOf,
    Comparison,
    ElementMatch,
    Filter,
    Moment,
    Not,
    Operator,
    Order,
    Position,
    Present,
)

Scope = Mapping[str, Field]

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
_ESCAPES: Final = str.maketrans({character: "\\" + character for character in "\\%_"})

# Behind every text that begins with a prefix and before every other that is behind the prefix:
# the last code point, more often than it fits into an indexed text (2,000 bytes, 4 each).
_BEHIND_PREFIX: Final = "\U0010ffff" * 501


class Where:
    """Conditions and the arguments they need, in the order of their `$n`.

    `$1` is the organization.
    """

    def __init__(self, organization_id: UUID) -> None:
        self.arguments: list[object] = [organization_id]

    def argument(self, value: object) -> str:
        """The `$n` of one more argument."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def condition(self, filter_: Filter) -> str:
        """A filter on users as an SQL condition.

        Refuses UnknownField and InvalidFilter.
        """
        return self._condition(filter_, FIELDS)

    def _condition(self, filter_: Filter, scope: Scope) -> str:
        match filter_:
            case AllOf(filters):
                return f"({' AND '.join(self._condition(each, scope) for each in filters)})"
            case AnyOf(filters):
                return f"({' OR '.join(self._condition(each, scope) for each in filters)})"
            case Not(inner):
                return f"({self._condition(inner, scope)} IS NOT TRUE)"
            case Comparison():
                return self._comparison(filter_, scope)
            case Present(name):
                return _present(name, scope)
            case ElementMatch():
                return self._element_match(filter_, scope)

    def _comparison(self, comparison: Comparison, scope: Scope) -> str:
        field = scope.get(comparison.field)
        if field is None:
            return self._any_element(comparison, scope)
        if scope is FIELDS and comparison.field == "user_name":
            prefix = self._user_name_prefix(comparison)
            if prefix:
                return prefix
        return self._compare(field, comparison)

    def _any_element(self, comparison: Comparison, scope: Scope) -> str:
        repeated, _, inner = comparison.field.partition(".")
        if scope is not FIELDS or inner not in REPEATED.get(repeated, {}):
            raise UnknownField(comparison.field, "a comparison")
        match = ElementMatch(repeated, Comparison(inner, comparison.operator, comparison.value))
        condition = self._element_match(match, scope)
        if comparison.operator is Operator.NOT_EQUAL:
            return f"({repeated} IS NULL OR {condition})"
        return condition

    def _element_match(self, match: ElementMatch, scope: Scope) -> str:
        if scope is not FIELDS or match.field not in REPEATED:
            raise UnknownField(match.field, "an element match")
        condition = self._condition(match.filter, REPEATED[match.field])
        exists = (
            f"EXISTS (SELECT FROM jsonb_array_elements({match.field}) AS element WHERE {condition})"
        )
        having = [self._having_address(address) for address in _addresses(match)]
        return f"({' AND '.join([*having, exists])})" if having else exists

    def _having_address(self, address: str) -> str:
        """What the index knows; addresses may share a hash, so the caller compares as well.

        An array, because PostgreSQL can look that up in an index below an OR, too.
        """
        address_hash = f"address_hash({self.argument(address)})"
        return (
            "user_id = ANY(ARRAY(SELECT user_id FROM user_email"  # noqa: S608
            f" WHERE organization_id = $1 AND address_hash = {address_hash}))"
        )

    def _user_name_prefix(self, comparison: Comparison) -> str:
        """A range instead of LIKE: the index serves it in prepared statements, too."""
        value = comparison.value
        if comparison.operator is not Operator.STARTS_WITH or not isinstance(value, str):
            return ""
        return (
            f"(fold(user_name) >= fold({self.argument(value)})"
            f" AND fold(user_name) < fold({self.argument(value + _BEHIND_PREFIX)}))"
        )

    def _compare(self, field: Field, comparison: Comparison) -> str:
        operator = comparison.operator
        match field.kind, comparison.value:
            case Kind.BOOLEAN, bool(value) if operator in (Operator.EQUAL, Operator.NOT_EQUAL):
                condition = f"{field.sql} = {self.argument(value)}"
            case Kind.TIME, Moment() as value if operator not in _PATTERNS:
                condition = self._compare_time(field, operator, value)
            case Kind.ID, str(value):
                condition = self._compare_id(operator, value)
            case ((Kind.TEXT | Kind.EXACT_TEXT), str(value)):
                condition = self._compare_text(field, operator, value)
            case _:
                raise InvalidFilter(f"{comparison.field} cannot be compared like that.")
        return f"(({condition}) IS NOT TRUE)" if operator is Operator.NOT_EQUAL else condition

    # NOT_EQUAL is made of EQUAL above; below they are one.

    def _compare_text(self, field: Field, operator: Operator, value: str) -> str:
        pattern = _PATTERNS.get(operator)
        if pattern is None:
            sql_operator = _sql_operator(operator)
        else:
            # Folding after escaping is right: no character folds to or from one of \ % _.
            sql_operator = "LIKE"
            value = pattern.format(value.translate(_ESCAPES))
        right = self.argument(value) + "::text"
        folded = f"fold({right})" if field.kind is Kind.TEXT else right
        return f'{field.compared} {sql_operator} {folded} COLLATE "C"'

    def _compare_id(self, operator: Operator, value: str) -> str:
        if operator in (Operator.EQUAL, Operator.NOT_EQUAL):
            return f"user_id = {self.argument(UUID(value))}" if _is_canonical(value) else "false"
        return self._compare_text(Field("user_id::text", Kind.EXACT_TEXT), operator, value)

    def _compare_time(self, field: Field, operator: Operator, moment: Moment) -> str:
        """Times are kept to the microsecond: nothing is at a moment between two of them."""
        if moment.later:
            match operator:
                case Operator.EQUAL | Operator.NOT_EQUAL:
                    return "false"
                case Operator.GREATER_THAN | Operator.GREATER_OR_EQUAL:
                    operator = Operator.GREATER_THAN
                case _:
                    operator = Operator.LESS_OR_EQUAL
        return f"{field.sql} {_sql_operator(operator)} {self.argument(moment.time)}"

    def behind(self, order: Order, position: Position) -> str:
        """The condition for users that come after one in an order."""
        field = _field_of(order)
        side = "<" if order.descending else ">"
        user_id = self.argument(position.user_id)
        if order.field == "id":
            return f"user_id {side} {user_id}"
        if position.key is None:
            return f"({field.compared} IS NULL AND user_id {side} {user_id})"
        key = self.argument(position.key) + ('::text COLLATE "C"' if _is_text(field) else "")
        condition = f"({field.compared}, user_id) {side} ({key}, {user_id})"
        return f"({condition} OR {field.compared} IS NULL)" if field.nullable else condition


def order_key(order: Order) -> str:
    """The expression that an order sorts by. Refuses UnknownField."""
    return _field_of(order).compared


def order_by(order: Order) -> str:
    """The list behind ORDER BY; users without the field come last either way."""
    direction = " DESC" if order.descending else ""
    if order.field == "id":
        return f"user_id{direction}"
    field = _field_of(order)
    collation = ' COLLATE "C"' if _is_text(field) else ""
    nulls = " NULLS LAST" if field.nullable else ""
    return f"{field.compared}{collation}{direction}{nulls}, user_id{direction}"


def kind_of(order: Order) -> Kind:
    """What an order's keys are. Refuses UnknownField."""
    return _field_of(order).kind


def _field_of(order: Order) -> Field:
    field = order_field(order.field)
    if field is None:
        raise UnknownField(order.field, "an order")
    return field


def _is_text(field: Field) -> bool:
    return field.kind in (Kind.TEXT, Kind.EXACT_TEXT)


def _present(name: str, scope: Scope) -> str:
    if name in scope:
        return f"{scope[name].sql} IS NOT NULL"
    if scope is not FIELDS:
        raise UnknownField(name, "a filter")
    if name in COMPOSITE:
        return f"num_nonnulls({', '.join(COMPOSITE[name])}) > 0"
    repeated, dot, inner = name.partition(".")
    if repeated in REPEATED and not dot:
        return f"{repeated} IS NOT NULL"
    field = REPEATED.get(repeated, {}).get(inner)
    if field is None:
        raise UnknownField(name, "a filter")
    return (
        f"EXISTS (SELECT FROM jsonb_array_elements({repeated}) AS element"
        f" WHERE {field.sql} IS NOT NULL)"
    )


def _addresses(match: ElementMatch) -> list[str]:
    """The e-mail addresses that a user must have for an element to match."""
    inner = match.filter
    conditions = inner.filters if isinstance(inner, AllOf) else (inner,)
    return [
        condition.value
        for condition in conditions
        if match.field == "emails"
        and isinstance(condition, Comparison)
        and (condition.field, condition.operator) == ("value", Operator.EQUAL)
        and isinstance(condition.value, str)
    ]


def _sql_operator(operator: Operator) -> str:
    return "=" if operator is Operator.NOT_EQUAL else _RANGES[operator]


def _is_canonical(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
