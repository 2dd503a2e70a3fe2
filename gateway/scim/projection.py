"""Selects the attributes of a response: `attributes`, `excludedAttributes` (RFC 7644 3.9)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from gateway.scim.errors import invalid_value
from gateway.scim.schema import AttributePath, ResourceType, Returned
from gateway.scim.values import Json

MAX_LENGTH: Final = 8192

_ALWAYS: Final = ("schemas", "id")

# Attribute name → None for the complete attribute, or a tree of its sub-attributes.
_Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Projection:
    """A selection of attributes: those in `keep` (None: all) without those in `drop`."""

    keep: Mapping[str, Any] | None
    drop: Mapping[str, Any]

    def apply(self, resource: Mapping[str, Any]) -> Mapping[str, Any]:
        """The selected part of a resource; the same object if everything is selected."""
        if self.keep is not None:
            resource = _kept(resource, self.keep)
        return _dropped(resource, self.drop) if self.drop else resource

    def includes(self, name: str, part: str | None = None) -> bool:
        """Whether a response has a core attribute such as "members", or a sub-attribute of it."""
        if self.keep is not None and not _contains(self.keep, name, part):
            return False
        dropped = self.drop.get(name, _MISSING)
        return dropped is not None and (dropped is _MISSING or part not in dropped)

    def names(self, name: str) -> bool:
        """Whether the request names a core attribute, or a part of it, in `attributes`."""
        return self.keep is not None and self.includes(name)


_MISSING: Final = object()


def _contains(tree: Mapping[str, Any], name: str, part: str | None) -> bool:
    parts = tree.get(name, _MISSING)
    return parts is None or (parts is not _MISSING and (part is None or part in parts))


def parse(
    resource_type: ResourceType, attributes: str | None, excluded_attributes: str | None
) -> Projection:
    """Parse the two parameters; names that no schema has are ignored.

    Refuses both together (invalidValue; section 3.9: they are mutually exclusive).
    """
    # The cache would keep the types of organizations in memory after they are evicted.
    read = parse_uncached if resource_type.custom else _parse_cached
    return read(resource_type, attributes, excluded_attributes)


def parse_uncached(
    resource_type: ResourceType, attributes: str | None, excluded_attributes: str | None
) -> Projection:
    """Parse the two parameters like `parse`."""
    if attributes and excluded_attributes:
        raise invalid_value("Send either attributes or excludedAttributes, not both.")
    hidden = _hidden(resource_type)
    if attributes:
        return Projection(*_requested(resource_type, _found(resource_type, attributes)))
    if excluded_attributes:
        excluded = _found(resource_type, excluded_attributes)
        for path in excluded:
            if Returned.ALWAYS not in {path.attribute.returned, path.target.returned}:
                _mark(hidden, path)
    return Projection(None, hidden)


# Clients repeat the same few parameters.
_parse_cached: Final = lru_cache(maxsize=256)(parse_uncached)


def _found(resource_type: ResourceType, text: str) -> list[AttributePath]:
    if len(text) > MAX_LENGTH:
        raise invalid_value(
            f"The list of attributes is {len(text)} characters long; send at most {MAX_LENGTH}."
        )
    names = {name.strip().lower() for name in text.split(",")}
    return [path for name in names for path in _named(resource_type, name)]


def _named(resource_type: ResourceType, name: str) -> Iterable[AttributePath]:
    path = resource_type.find(name)
    if path is not None:
        return [path]
    if urn := resource_type.extension_urn(name):
        return resource_type.extension_paths(urn)
    if resource_type.is_core_urn(name):
        return [path for path in resource_type.top_level if path.extension is None]
    return []


def _requested(resource_type: ResourceType, paths: list[AttributePath]) -> tuple[_Tree, _Tree]:
    keep: _Tree = dict.fromkeys(_ALWAYS)
    for path in resource_type.always_returned:
        _mark(keep, path)
    for path in paths:
        _mark(keep, path)
        if path.sub_attribute is not None:
            _mark_always(keep, path)
    drop: _Tree = {}
    named = {path.text for path in paths}
    named.update(AttributePath(path.extension, path.attribute).text for path in paths)
    for path in resource_type.hidden:
        if path.target.returned is Returned.NEVER or path.text not in named:
            _mark(drop, path)
    return keep, drop


def _mark_always(keep: _Tree, path: AttributePath) -> None:
    """Add the sub-attributes that are always returned with any other one."""
    for each in path.attribute.sub_attributes.values():
        if each.returned is Returned.ALWAYS:
            _mark(keep, AttributePath(path.extension, path.attribute, each))


def _hidden(resource_type: ResourceType) -> _Tree:
    """Attributes that are returned only on request, or never (RFC 7643 section 7)."""
    hidden: _Tree = {}
    for path in resource_type.hidden:
        _mark(hidden, path)
    return hidden


def _mark(tree: _Tree, path: AttributePath) -> None:
    if path.extension is not None:
        tree = tree.setdefault(path.extension, {})
    name = path.attribute.name
    if path.sub_attribute is None:
        tree[name] = None
        return
    parts = tree.setdefault(name, {})
    if parts is not None:
        parts[path.sub_attribute.name] = None


def _kept(resource: Mapping[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, parts in tree.items():
        value = resource.get(name)
        if value is None:
            continue
        if parts is not None:
            value = _each(value, parts, _kept)
        if value not in ({}, []):
            kept[name] = value
    return kept


def _dropped(resource: Mapping[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    remaining: dict[str, Any] = {}
    for name, value in resource.items():
        parts = tree.get(name, _MISSING)
        if parts is None:
            continue
        rest = value if parts is _MISSING else _each(value, parts, _dropped)
        if rest not in ({}, []) or rest == value:
            remaining[name] = rest
    return remaining


def _each(
    value: Json,
    parts: Mapping[str, Any],
    project: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]],
) -> Json:
    if isinstance(value, list):
        projected = (project(each, parts) for each in value)
        return [each for each in projected if each]
    return project(value, parts)
