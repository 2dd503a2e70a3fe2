"""What a filter means for the resources of one type (RFC 7644 section 3.4.2.1).

Some conditions are the same for all resources of a type: `meta.resourceType
eq "User"`, and whatever is asked of an attribute that the type does not have.
They are decided here, so that nobody is asked what needs no answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.scim import filter as filters
from gateway.scim.errors import ScimError
from gateway.scim.filter import And, Compare, ElementMatch, Filter, Not, Or, Present
from gateway.scim.schema import AttributePath, ResourceType

Meaning = Filter | bool
"""A filter, or True where every resource satisfies it and False where none does."""


def parse(resource_types: Sequence[ResourceType], text: str) -> list[Meaning]:
    """What a filter means for each of several types.

    "For filtered attributes that are not part of a particular resource type,
    the service provider SHALL treat the attribute as if there is no attribute
    value." Refuses (invalidFilter) only what fits none of the types.
    """
    meanings: list[Meaning] = []
    refusals: list[ScimError] = []
    for index, resource_type in enumerate(resource_types):
        others = (*resource_types[:index], *resource_types[index + 1 :])
        try:
            tree = filters.parse(_beside(resource_type, others), text)
        except ScimError as refusal:
            refusals.append(refusal)
            meanings.append(False)
        else:
            meanings.append(fold(resource_type, tree))
    if len(refusals) == len(resource_types):
        raise refusals[0]
    return meanings


def fold(resource_type: ResourceType, tree: Filter) -> Meaning:  # noqa: PLR0911
    """The filter without the conditions that are decided by the type alone."""
    match tree:
        case And(operands):
            return _all(fold(resource_type, each) for each in operands)
        case Or(operands):
            return _any(fold(resource_type, each) for each in operands)
        case Not(operand):
            meaning = fold(resource_type, operand)
            return not meaning if isinstance(meaning, bool) else Not(meaning)
        case Present(path) if path.attribute.name in _ALWAYS_PRESENT and path.extension is None:
            return True
        case Compare(path) if path.text == "meta.resourceType":
            return filters.matches(tree, {"meta": {"resourceType": resource_type.name}})
        case Compare(path) if path.text == "schemas":
            return _schemas(resource_type, tree)
        case Compare(path) | Present(path) | ElementMatch(path):
            is_own = resource_type.find(path.text) == path
            return tree if is_own else filters.matches(tree, {})
    raise TypeError(tree)  # no tree of another kind is parsed


_ALWAYS_PRESENT: Final = ("id", "schemas", "meta")


def _all(meanings: Iterable[Meaning]) -> Meaning:
    open_: list[Filter] = []
    for meaning in meanings:
        if meaning is False:
            return False
        if not isinstance(meaning, bool):
            open_.append(meaning)
    if not open_:
        return True
    return open_[0] if len(open_) == 1 else And(tuple(open_))


def _any(meanings: Iterable[Meaning]) -> Meaning:
    open_: list[Filter] = []
    for meaning in meanings:
        if meaning is True:
            return True
        if not isinstance(meaning, bool):
            open_.append(meaning)
    if not open_:
        return False
    return open_[0] if len(open_) == 1 else Or(tuple(open_))


def _schemas(resource_type: ResourceType, compare: Compare) -> Meaning:
    """`schemas` is not kept: it names the type's schema, and each extension that has values."""
    meanings: list[Meaning] = [_names(compare, resource_type.schema.urn)]
    for extension in resource_type.extensions:
        if _names(compare, extension.urn):
            own = [path for path in resource_type.whole if path.extension == extension.urn]
            meanings.append(_any(Present(path) for path in own))
    return _any(meanings)


def _names(compare: Compare, urn: str) -> bool:
    return filters.matches(compare, {"schemas": [urn]})


@dataclass(frozen=True, slots=True, eq=False)
class _Beside(ResourceType):
    """A type that can also read what a filter says of the attributes of others."""

    others: tuple[ResourceType, ...] = ()

    def find(self, text: str) -> AttributePath | None:
        own = ResourceType.find(self, text)
        if own is not None:
            return own
        found = (other.find(text) for other in self.others)
        return next((path for path in found if path is not None), None)


@lru_cache(maxsize=64)
def _beside(resource_type: ResourceType, others: tuple[ResourceType, ...]) -> ResourceType:
    if not others:
        return resource_type
    return _Beside(
        name="This server",
        endpoint=resource_type.endpoint,
        description=resource_type.description,
        schema=resource_type.schema,
        extensions=resource_type.extensions,
        others=others,
    )
