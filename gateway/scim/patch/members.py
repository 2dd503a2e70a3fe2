"""The PATCH shortcut for groups: sets of member ids, whose cost does not grow with the group."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.scim.errors import invalid_value
from gateway.scim.filter import Compare, Filter, Operator, Or
from gateway.scim.patch.assignments import (
    assigned_values,
    check_required_cleared,
    depends_on_resource,
)
from gateway.scim.patch.budget import Budget
from gateway.scim.patch.changes import Change, changes
from gateway.scim.patch.elements import operation_elements
from gateway.scim.patch.message import Op, Operation
from gateway.scim.schema import MAX_MEMBERS, AttributePath, ResourceType
from gateway.scim.values import Json


@dataclass(frozen=True, slots=True)
class MemberChanges:
    """The changes to a group: sets of member ids, and assignments to other attributes.

    With `replace` the members become exactly `add`. Without it, `add` and `remove` are disjoint.
    """

    replace: bool = False
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    assignments: Mapping[AttributePath, Json] = field(default_factory=dict)


def member_changes(
    resource_type: ResourceType, operations: Iterable[Operation]
) -> MemberChanges | None:
    """The changes of a group's PATCH, computed without reading the group.

    Returns None if they depend on the group. Refuses the same operations as `apply`.
    """
    members = _MemberSet()
    others: dict[AttributePath, Json] = {}
    cleared_by: dict[AttributePath, Op] = {}
    for change in changes(resource_type, operations, Budget()):
        if change.target.attribute.name == "members":
            if not members.add_operation(change):
                return None
        elif depends_on_resource(resource_type, change):
            return None
        else:
            others.update(assigned_values(change))
            cleared_by[change.target] = change.op
    check_required_cleared(resource_type, others, cleared_by)
    return members.changes(others)


class _MemberSet:
    """Combines operations on members, in order, into sets of ids."""

    __slots__ = ("_add", "_remove", "_replace")

    def __init__(self) -> None:
        self._replace = False
        self._add: dict[str, None] = {}  # a set that keeps its order
        self._remove: dict[str, None] = {}

    def add_operation(self, change: Change) -> bool:
        """Add an operation; returns False if its outcome depends on the group."""
        if change.target.sub_attribute is not None:
            return False
        if change.filter is not None:
            ids = _filtered_ids(change.filter)
            if ids is None or change.op is not Op.REMOVE:
                return False
            self._remove_ids(ids)
        elif change.op is Op.REPLACE or (change.op is Op.REMOVE and change.value is None):
            self._replace, self._add, self._remove = True, {}, {}
            self._add_ids(_ids(change) if change.op is Op.REPLACE else ())
        elif change.op is Op.ADD:
            self._add_ids(_ids(change))
        else:
            self._remove_ids(_ids(change))
        return True

    def changes(self, others: Mapping[AttributePath, Json]) -> MemberChanges:
        if len(self._add) > MAX_MEMBERS:
            raise invalid_value(f"A group has at most {MAX_MEMBERS} members.")
        return MemberChanges(self._replace, tuple(self._add), tuple(self._remove), others)

    def _add_ids(self, ids: Iterable[str]) -> None:
        for each in ids:
            self._add[each] = None
            self._remove.pop(each, None)

    def _remove_ids(self, ids: Iterable[str]) -> None:
        for each in ids:
            self._add.pop(each, None)
            if not self._replace:
                self._remove[each] = None


def _ids(change: Change) -> list[str]:
    return [each["value"] for each in operation_elements(change.target.attribute, change.value)]


def _filtered_ids(tree: Filter) -> list[str] | None:
    """The ids in a filter such as `value eq "a" or value eq "b"`; None for any other filter."""
    match tree:
        case Compare(path, Operator.EQ, str(value)) if path.target.name == "value":
            return [value]
        case Or(operands):
            found = [_filtered_ids(each) for each in operands]
            return None if None in found else [v for ids in found if ids for v in ids]
        case _:
            return None
