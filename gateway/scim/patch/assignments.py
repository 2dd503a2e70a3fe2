"""The PATCH shortcut for single-valued attributes: assignments that need no read."""

from collections.abc import Iterable, Mapping

from gateway.scim import values
from gateway.scim.patch.budget import Budget
from gateway.scim.patch.changes import Change, changes, required
from gateway.scim.patch.message import Op, Operation
from gateway.scim.schema import AttributePath, Mutability, ResourceType, Type
from gateway.scim.values import Json


def assignments(
    resource_type: ResourceType, operations: Iterable[Operation]
) -> Mapping[AttributePath, Json] | None:
    """The values to set (None clears), if they do not depend on the current resource.

    Returns None if they depend on it: for an operation on a multi-valued or immutable attribute, or
    with a filter. Refuses the same operations as `apply`. Setting the values one by one has the
    same result as `apply`, for any resource.
    """
    found: dict[AttributePath, Json] = {}
    cleared_by: dict[AttributePath, Op] = {}
    for change in changes(resource_type, operations, Budget()):
        if depends_on_resource(resource_type, change):
            return None
        found.update(assigned_values(change))
        cleared_by[change.target] = change.op
    check_required_cleared(resource_type, found, cleared_by)
    return found


def depends_on_resource(resource_type: ResourceType, change: Change) -> bool:
    """Whether the resource must be read to apply or to refuse the change."""
    attribute = change.target.attribute
    if attribute.multi_valued or change.filter is not None:
        return True
    if change.target.extension and resource_type.extension_required[change.target.extension]:
        return True
    parts = attribute.sub_attributes.values()
    return bool(attribute.required_parts) or any(
        each.mutability is Mutability.IMMUTABLE for each in (attribute, *parts)
    )


def assigned_values(change: Change) -> dict[AttributePath, Json]:
    """The values that a change sets; for a complex attribute one per sub-attribute."""
    target, attribute = change.target, change.target.attribute
    if target.sub_attribute is not None or attribute.type is not Type.COMPLEX:
        value = None if change.op is Op.REMOVE else values.read(target.target, change.value)
        return {target: value}
    if change.clears:
        parts = {a.name: None for a in attribute.sub_attributes.values() if not a.derived}
    else:
        parts = values.read_parts(attribute, change.value)
    return {
        AttributePath(target.extension, attribute, attribute.sub_attributes[name.lower()]): part
        for name, part in parts.items()
    }


def check_required_cleared(
    resource_type: ResourceType,
    found: Mapping[AttributePath, Json],
    cleared_by: Mapping[AttributePath, Op],
) -> None:
    """Refuse assignments that leave a required attribute without a value."""
    for path in resource_type.required:
        if path in found and found[path] is None:
            raise required(path, cleared_by.get(path))
