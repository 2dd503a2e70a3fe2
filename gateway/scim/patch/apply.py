"""Applies any operations of a PATCH to a complete resource."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.scim import resource as resources
from gateway.scim import values
from gateway.scim.patch.budget import MAX_STEPS, Budget
from gateway.scim.patch.changes import changes, required
from gateway.scim.patch.elements import apply_change, check_immutable
from gateway.scim.patch.message import Op, Operation
from gateway.scim.schema import Attribute, AttributePath, Mutability, ResourceType, Type
from gateway.scim.values import Json

Resource = dict[str, Any]


def apply(
    resource_type: ResourceType,
    resource: Mapping[str, Any],
    operations: Iterable[Operation],
    max_steps: int = MAX_STEPS,
) -> Resource:
    """Apply all operations to a copy of the resource.

    Refuses all operations if one is invalid: invalidPath, invalidFilter, invalidValue, mutability
    or noTarget. Raises OverBudgetError (tooMany) if together they need more than `max_steps`; a
    step is about one comparison of two values.
    """
    result = _copy(resource_type, resource)
    touched: dict[AttributePath, Op] = {}
    budget = Budget(max_steps)
    for change in changes(resource_type, operations, budget):
        target = change.target
        holder = result.setdefault(target.extension, {}) if target.extension else result
        known = holder.get(target.attribute.name)
        _put(holder, target.attribute, apply_change(change, known, budget))
        touched[AttributePath(target.extension, target.attribute)] = change.op
    return _finished(resource_type, result, touched)


def _copy(resource_type: ResourceType, resource: Mapping[str, Any]) -> Resource:
    """Copy the resource and its extension objects; values are only replaced, never modified."""
    result = dict(resource)
    for extension in resource_type.extensions:
        if extension.urn in result:
            result[extension.urn] = dict(result[extension.urn])
    return result


def _put(holder: Resource, attribute: Attribute, value: Json) -> None:
    if attribute.mutability is Mutability.IMMUTABLE:
        check_immutable(attribute, holder.get(attribute.name), value)
    if value is None or value in ([], {}):
        holder.pop(attribute.name, None)
    else:
        holder[attribute.name] = value


def _finished(
    resource_type: ResourceType, result: Resource, touched: Mapping[AttributePath, Op]
) -> Resource:
    for path in touched:
        holder = result.get(path.extension, {}) if path.extension else result
        _remove_label_only(path.attribute, holder)
        _check(path.attribute, holder.get(path.attribute.name))
    for extension in resource_type.extensions:
        if not result.get(extension.urn, True):
            del result[extension.urn]
    extensions = {path.extension for path in touched}
    for path in resources.missing(resource_type, result):
        if path in touched or (path.extension and path.extension in extensions):
            raise required(path, touched.get(path))
    if "schemas" in result:
        result["schemas"] = resources.schemas(resource_type, result)
    return result


def _remove_label_only(attribute: Attribute, holder: Resource) -> None:
    """Remove elements that got a type or became primary, but got no value by a later operation."""
    elements = holder.get(attribute.name)
    if elements and attribute.needs_content:
        kept = [each for each in elements if not values.is_label_only(attribute, each)]
        _put(holder, attribute, kept)


def _check(attribute: Attribute, value: Json) -> None:
    if value is None or attribute.type is not Type.COMPLEX:
        return
    if attribute.multi_valued:
        values.check_elements(attribute, value)
    if attribute.required_parts:
        for element in value if attribute.multi_valued else (value,):
            values.check_required(attribute, element)
