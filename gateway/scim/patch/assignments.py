"""A PATCH as assignments: the short cut for single-valued attributes."""

from collections.abc import Iterable, Mapping

from gateway.scim import values
from gateway.scim.patch.budget import Budget
from gateway.scim.patch.changes import Change, changes, required
from gateway.scim.patch.elements import only
from gateway.scim.patch.message import Op, Operation
from gateway.scim.schema import AttributePath, Mutability, ResourceType, Type
from gateway.scim.values import Json


def assignments(
    resource_type: ResourceType, operations: Iterable[Operation]
) -> Mapping[AttributePath, Json] | None:
    """What to set (or with None, to clear), where that does not depend on what is there.

    None if it does: an operation on a multi-valued attribute, with a filter, on something
    immutable. Refuses what `apply` would refuse. Assigned one by one to any resource, they make of
    it what `apply` makes of it.
    """
    found: dict[AttributePath, Json] = {}
    cleared_by: dict[AttributePath, Op] = {}
    for change in changes(resource_type, operations, Budget()):
        if depends_on_resource(resource_type, change):
            return None
        found.update(assigned(change))
        cleared_by[change.target] = change.op
    check_cleared(resource_type, found, cleared_by)
    return found


def depends_on_resource(resource_type: ResourceType, change: Change) -> bool:
    """Whether a change has to see the resource, to carry it out or to refuse it."""
    attribute = change.target.attribute
    if attribute.multi_valued or change.filter is not None:
        return True
    if change.target.extension and resource_type.extension_required[change.target.extension]:
        return True
    parts = attribute.sub_attributes.values()
    return bool(attribute.required_parts) or any(
        each.mutability is Mutability.IMMUTABLE for each in (attribute, *parts)
    )


def assigned(change: Change) -> dict[AttributePath, Json]:
    """What a change of a single-valued attribute sets, a complex one part by part."""
    target, attribute = change.target, change.target.attribute
    if target.sub_attribute is not None or attribute.type is not Type.COMPLEX:
        value = None if change.op is Op.REMOVE else values.read(target.target, change.value)
        return {target: value}
    if change.clears:
        parts = {a.name: None for a in attribute.sub_attributes.values() if not a.derived}
    else:
        parts = values.read_parts(attribute, only(attribute, change.value))
    return {
        AttributePath(target.extension, attribute, attribute.sub_attributes[name.lower()]): part
        for name, part in parts.items()
    }


def check_cleared(
    resource_type: ResourceType,
    found: Mapping[AttributePath, Json],
    cleared_by: Mapping[AttributePath, Op],
) -> None:
    """Refuse assignments that leave a required attribute without a value."""
    for path in resource_type.required:
        if path in found and found[path] is None:
            raise required(path, cleared_by.get(path))
