"""Normalizes PATCH operations to changes of one attribute each."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.scim import path as paths
from gateway.scim import resource as resources
from gateway.scim import values
from gateway.scim.errors import ScimError, describe, invalid_value, mutability, no_target
from gateway.scim.filter import Filter
from gateway.scim.patch.budget import STEPS_PER_CHARACTER, Budget
from gateway.scim.patch.message import Op, Operation
from gateway.scim.schema import AttributePath, ResourceType, Type
from gateway.scim.values import Json


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one attribute; an operation consists of one or more changes."""

    op: Op
    target: AttributePath
    filter: Filter | None
    value: Json

    @property
    def clears(self) -> bool:
        return self.op is Op.REMOVE or values.is_unassigned(self.value)

    @property
    def changes_nothing(self) -> bool:
        """Whether the value is `{}` or has no known sub-attribute: it names nothing to change.

        Elements with a required sub-attribute, such as members, are refused instead.
        """
        attribute = self.target.attribute
        return (
            self.op is not Op.REMOVE
            and self.target.sub_attribute is None
            and attribute.type is Type.COMPLEX
            and not (attribute.multi_valued and attribute.required_parts)
            and values.names_nothing(attribute, self.value)
        )


def changes(
    resource_type: ResourceType, operations: Iterable[Operation], budget: Budget
) -> Iterator[Change]:
    """The changes of all operations, in order and in any notation."""
    for operation in operations:
        yield from _changes_of(resource_type, operation, budget)


def _changes_of(
    resource_type: ResourceType, operation: Operation, budget: Budget
) -> Iterator[Change]:
    op, path, value = operation.op, operation.path, operation.value
    if path is None:
        if op is Op.REMOVE:
            raise no_target(
                "A remove operation has no path; send the path of the attribute to remove."
            )
        yield from _pathless(resource_type, op, value, budget)
    elif urn := resource_type.extension_urn(path):
        value = None if op is Op.REMOVE else value
        yield from _members(resource_type, op, {urn: value})
    elif resource_type.is_core_urn(path) and op is not Op.REMOVE:
        yield from _pathless(resource_type, op, value, budget)
    else:
        yield _at_path(resource_type, op, path, value, budget)


def _at_path(resource_type: ResourceType, op: Op, text: str, value: Json, budget: Budget) -> Change:
    if "[" in text:
        budget.spend(STEPS_PER_CHARACTER * len(text))
    path = paths.parse(resource_type, text)
    if path.target.read_only:
        raise mutability(
            f"{path.target.text} is readOnly and set by the service; leave it out of the PATCH."
        )
    target, value = values.normalized(path.target, value)
    change = _change(op, target, path.filter, value)
    if op is Op.ADD and path.filter and not target.sub_attribute and change.clears:
        raise invalid_value(
            f"The value to add to {path.target.text} is {describe(value)}; send the path"
            f" {path.target.text} with the value to add."
        )
    return change


def _pathless(resource_type: ResourceType, op: Op, value: Json, budget: Budget) -> Iterator[Change]:
    """The changes of an operation without a path; its value is a set of attributes (3.5.2.1).

    Entra also sends paths as names of its members.
    """
    if not isinstance(value, dict):
        raise invalid_value(
            f"The value of an operation without a path is {describe(value)};"
            " send an object with the attributes to change, or a path."
        )
    yield from _members(resource_type, op, value)
    for key, inner in value.items():
        name, bracket, _ = key.partition("[")
        if bracket and resource_type.find(name.strip()) is not None:
            yield _at_path(resource_type, op, key, inner, budget)


def _members(resource_type: ResourceType, op: Op, value: Mapping[str, Any]) -> Iterator[Change]:
    """The changes of a set of attributes. Null clears an extension, also when it is added."""
    cleared = {
        resource_type.extension_urn(key)
        for key, inner in value.items()
        if op is Op.ADD and values.is_unassigned(inner)
    }
    for path, inner in resources.attribute_values(resource_type, value):
        is_cleared = path.extension is not None and path.extension in cleared
        yield _change(Op.REPLACE if is_cleared else op, path, None, inner)


def _change(op: Op, target: AttributePath, filter_: Filter | None, value: Json) -> Change:
    """A change whose value is not an array where one value is expected.

    Refuses (invalidValue) to clear `active` except by `remove`: a mapping without a result must
    not decide who may sign in.
    """
    attribute = target.target
    if op is not Op.REMOVE and (not attribute.multi_valued or filter_ is not None):
        if isinstance(value, list):
            value = values.unwrap_single(attribute, value)
        if value is None and not attribute.clearable:
            raise values.wrong_type(attribute, value)
    return Change(op, target, filter_, value)


def required(path: AttributePath, op: Op | None) -> ScimError:
    """The error for an operation that clears a required attribute."""
    detail = f"{path.text} is required and cannot be cleared; send a value for it."
    # RFC 7644 section 3.5.2.2: removing a required attribute is a mutability error.
    return mutability(detail) if op is Op.REMOVE else invalid_value(detail)
