"""Simplifies a filter for the resources of one type (RFC 7644 section 3.4.2.1).

Some conditions have the same result for all resources of a type: `meta.resourceType eq "User"`,
and any condition on an attribute that the type does not have. They are evaluated here, so that
usersvc is not called when the result is known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.scim import filter as filters
from gateway.scim.errors import ScimError
from gateway.scim.filter import And, Compare, ElementMatch, Filter, Not, Or, Present
from gateway.scim.filter.parser import AttributeFinder
from gateway.scim.schema import AttributePath, ResourceType

SimplifiedFilter = Filter | bool
"""A filter; True if every resource satisfies it, False if none does."""


def parse(resource_types: Sequence[ResourceType], text: str) -> list[SimplifiedFilter]:
    """Parse a filter and simplify it for each of several types.

    "For filtered attributes that are not part of a particular resource type,
    the service provider SHALL treat the attribute as if there is no attribute
    value." Refuses (invalidFilter) a filter that is invalid for every type.
    """
    simplified: list[SimplifiedFilter] = []
    refusals: list[ScimError] = []
    for index, resource_type in enumerate(resource_types):
        others = (*resource_types[:index], *resource_types[index + 1 :])
        try:
            tree = filters.parse(_combined_type(resource_type, others), text)
        except ScimError as refusal:
            refusals.append(refusal)
            simplified.append(False)
        else:
            simplified.append(simplify(resource_type, tree))
    if len(refusals) == len(resource_types):
        raise refusals[0]
    return simplified


def simplify(resource_type: ResourceType, tree: Filter) -> SimplifiedFilter:  # noqa: PLR0911
    """The filter without the conditions that depend only on the type."""
    match tree:
        case And(operands):
            return _all(simplify(resource_type, each) for each in operands)
        case Or(operands):
            return _any(simplify(resource_type, each) for each in operands)
        case Not(operand):
            each = simplify(resource_type, operand)
            return not each if isinstance(each, bool) else Not(each)
        case Present(path) if path.attribute.name in _ALWAYS_PRESENT and path.extension is None:
            return True
        case Compare(path) if path.text == "meta.resourceType":
            return filters.matches(tree, {"meta": {"resourceType": resource_type.name}})
        case Compare(path) if path.text == "schemas":
            return _schemas(resource_type, tree)
        case Compare(path) | Present(path) | ElementMatch(path):
            is_own = resource_type.find(path.text) == path
            return tree if is_own else filters.matches(tree, {})
    raise TypeError(tree)  # the parser creates no other kind of node


_ALWAYS_PRESENT: Final = ("id", "schemas", "meta")


def _all(simplified: Iterable[SimplifiedFilter]) -> SimplifiedFilter:
    undecided: list[Filter] = []
    for each in simplified:
        if each is False:
            return False
        if not isinstance(each, bool):
            undecided.append(each)
    if not undecided:
        return True
    return undecided[0] if len(undecided) == 1 else And(tuple(undecided))


def _any(simplified: Iterable[SimplifiedFilter]) -> SimplifiedFilter:
    undecided: list[Filter] = []
    for each in simplified:
        if each is True:
            return True
        if not isinstance(each, bool):
            undecided.append(each)
    if not undecided:
        return False
    return undecided[0] if len(undecided) == 1 else Or(tuple(undecided))


def _schemas(resource_type: ResourceType, compare: Compare) -> SimplifiedFilter:
    """`schemas` is not stored: it lists the type's schema and each extension that has values."""
    simplified: list[SimplifiedFilter] = [_names(compare, resource_type.schema.urn)]
    for extension in resource_type.extensions:
        if _names(compare, extension.urn):
            own = resource_type.extension_paths(extension.urn)
            simplified.append(_any(Present(path) for path in own))
    return _any(simplified)


def _names(compare: Compare, urn: str) -> bool:
    return filters.matches(compare, {"schemas": [urn]})


@dataclass(frozen=True, slots=True)
class _CombinedType:
    """Finds the attributes of several types in a filter; the first type has precedence."""

    types: tuple[ResourceType, ...]
    name: str = "This server"

    def find(self, text: str) -> AttributePath | None:
        found = (each.find(text) for each in self.types)
        return next((path for path in found if path is not None), None)


def _combined_type(
    resource_type: ResourceType, others: tuple[ResourceType, ...]
) -> AttributeFinder:
    return _CombinedType((resource_type, *others)) if others else resource_type
