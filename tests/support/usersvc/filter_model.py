"""A reference implementation of filters and sort orders, written from the contract.

It evaluates messages in plain Python, and shares only case folding with the service.
"""

from collections.abc import Callable
from typing import Any

from cloudacademy.users.v1 import filter_pb2, users_pb2

from usersvc.domain.case_folding import fold

EXACT = {
    "id",
    "external_id",
    "profile_url",
    "enterprise.manager.value",
    "photos.value",
    "x509_certificates.value",
}
REPEATED = {
    "emails",
    "phone_numbers",
    "ims",
    "photos",
    "addresses",
    "entitlements",
    "roles",
    "x509_certificates",
}


def satisfies(user: users_pb2.User, filter_: filter_pb2.Filter) -> bool:
    return _matches(filter_, user, "")


def _matches(filter_: filter_pb2.Filter, item: Any, prefix: str) -> bool:
    kind = filter_.WhichOneof("expression")
    if kind == "all_of":
        return all(_matches(each, item, prefix) for each in filter_.all_of.filters)
    if kind == "any_of":
        return any(_matches(each, item, prefix) for each in filter_.any_of.filters)
    if kind == "negation":
        return not _matches(filter_.negation, item, prefix)
    if kind == "present":
        return any(value is not None for value in _values(item, filter_.present))
    if kind == "element":
        match = filter_.element
        return any(
            _matches(match.filter, element, f"{match.field}.")
            for element in getattr(item, match.field)
        )
    comparison = filter_.comparison
    values = _values(item, comparison.field) or [None]
    return any(_compares(comparison, value, prefix + comparison.field) for value in values)


def _values(item: Any, path: str) -> list[Any]:
    """The values at a path: one for each element of a list, and None for an unassigned value."""
    head, _, rest = path.partition(".")
    if head in REPEATED and isinstance(item, users_pb2.User):
        elements = getattr(item, head)
        return (
            [value for each in elements for value in _values(each, rest)] if rest else [*elements]
        )
    if item.DESCRIPTOR.fields_by_name[head].has_presence and not item.HasField(head):
        return [None]
    value = getattr(item, head)
    if rest:
        return _values(value, rest)
    if hasattr(value, "nanos"):
        return [value.seconds * 10**9 + value.nanos]
    if hasattr(value, "DESCRIPTOR"):
        return [value if value.ByteSize() else None]
    return [None if value == "" else value]


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "OPERATOR_EQUAL": lambda left, right: left == right,
    "OPERATOR_CONTAINS": lambda left, right: right in left,
    "OPERATOR_STARTS_WITH": lambda left, right: left.startswith(right),
    "OPERATOR_ENDS_WITH": lambda left, right: left.endswith(right),
    "OPERATOR_GREATER_THAN": lambda left, right: left > right,
    "OPERATOR_GREATER_OR_EQUAL": lambda left, right: left >= right,
    "OPERATOR_LESS_THAN": lambda left, right: left < right,
    "OPERATOR_LESS_OR_EQUAL": lambda left, right: left <= right,
}


def _compares(comparison: filter_pb2.Comparison, left: Any, name: str) -> bool:
    operator = filter_pb2.Operator.Name(comparison.operator)
    kind = comparison.WhichOneof("value")
    right = getattr(comparison, kind)
    if kind == "time":
        right = right.seconds * 10**9 + right.nanos
    elif kind == "text" and name not in EXACT:
        left, right = left and fold(left), fold(right)
    if operator == "OPERATOR_NOT_EQUAL":
        return left is None or left != right
    return left is not None and _OPERATORS[operator](left, right)


def sort_key(user: users_pb2.User, field: str) -> Any:
    """The sort key of a user; None for a user without the field."""
    head, _, rest = field.partition(".")
    if head in REPEATED:
        elements = list(getattr(user, head))
        leading = next(
            (each for each in elements if each.primary), elements[0] if elements else None
        )
        value = None if leading is None else _values(leading, rest or "value")[0]
        field = f"{head}.{rest or 'value'}"
    else:
        value = _values(user, field)[0]
    return fold(value) if isinstance(value, str) and field not in EXACT else value


def sort(users: list[users_pb2.User], field: str, descending: bool) -> list[users_pb2.User]:
    """Users sorted by a field, then by id; those without it are last. `descending` reverses all."""
    assigned = [user for user in users if sort_key(user, field) is not None]
    rest = [user for user in users if sort_key(user, field) is None]
    assigned.sort(key=lambda user: (sort_key(user, field), user.id))
    rest.sort(key=lambda user: user.id)
    return (assigned + rest)[:: -1 if descending else 1]
