"""PATCH (RFC 7644 section 3.5.2): what a client's operations make of a resource.

`apply` is the whole of it, for any resource and any operation. Two short cuts need no resource to
be read first: `assignments` for operations that only set or clear single-valued attributes, and
`member_changes` for those on a group.

Where Entra departs from the RFC, so do we: a value path whose element is missing creates it, an
empty string clears, Add replaces a single value, and Remove with a `value` removes only that.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from gateway.scim import path as paths
from gateway.scim import resource as resources
from gateway.scim import values
from gateway.scim.errors import (
    ScimError,
    invalid_path,
    invalid_syntax,
    invalid_value,
    mutability,
    no_target,
    shown,
    too_many,
)
from gateway.scim.filter import And, Compare, Filter, Operator, Or, element_matches
from gateway.scim.schema import (
    MAX_MEMBERS,
    Attribute,
    AttributePath,
    Mutability,
    ResourceType,
    Type,
)
from gateway.scim.values import Json

MAX_OPERATIONS: Final = 1000
# How many elements of multi-valued attributes one request may have us look at.
MAX_INSPECTED: Final = 1_000_000

Resource = dict[str, Any]


class Op(StrEnum):
    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


_OPS: Final = {each.value: each for each in Op}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the client sent it; a value of None is one that is null or not there."""

    op: Op
    path: str | None
    value: Json = None


@dataclass(frozen=True, slots=True)
class MemberChanges:
    """What becomes of a group: its members as sets, and its other attributes.

    With `replace` the members become exactly `add`; without, `add` and `remove` share no id.
    """

    replace: bool = False
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    assignments: Mapping[AttributePath, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Change:
    """An operation on one attribute: what an operation comes down to."""

    op: Op
    target: AttributePath
    filter: Filter | None
    value: Json

    @property
    def clears(self) -> bool:
        return self.op is Op.REMOVE or values.is_unassigned(self.value)


# The message


def parse(body: Mapping[str, Any]) -> tuple[Operation, ...]:
    """The operations of a PatchOp message; none at all are fine, as Entra's validator sends that.

    Refused: no Operations array (invalidSyntax), an unknown op (invalidSyntax), an add or replace
    without a value (invalidValue), a path that is no string (invalidPath), too many of them (413).
    """
    message = _lower_keys(body)
    resources.check_schemas(message)
    operations = message.get("operations")
    if not isinstance(operations, list):
        raise invalid_syntax("A PATCH needs an array named Operations with what to change.")
    if len(operations) > MAX_OPERATIONS:
        raise ScimError(
            413,
            None,
            f"The PATCH has {len(operations)} operations; send at most {MAX_OPERATIONS} at once.",
        )
    return tuple(_operation(each) for each in operations)


def _operation(document: object) -> Operation:
    if not isinstance(document, dict):
        raise invalid_syntax(f"An operation is {shown(document)}; send an object with an op.")
    members = _lower_keys(document)
    name = members.get("op")
    op = _OPS.get(name.strip().lower()) if isinstance(name, str) else None
    if op is None:
        raise invalid_syntax(f"The op {shown(name)} is unknown; send add, remove or replace.")
    path = members.get("path")
    if path is not None and not isinstance(path, str):
        raise invalid_path(f"The path is {shown(path)}; send a string.")
    if op is not Op.REMOVE and "value" not in members:
        raise invalid_value(f"The operation {op} {shown(path)} has no value; send one.")
    return Operation(op, path.strip() or None if path else None, members.get("value"))


def _lower_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    lower = {key.lower(): value for key, value in document.items()}
    if len(lower) != len(document):
        raise invalid_syntax("An object of the PATCH gives the same member twice.")
    return lower


# Operations to changes


def _changes(resource_type: ResourceType, operations: Iterable[Operation]) -> Iterator[_Change]:
    for operation in operations:
        yield from _changes_of(resource_type, operation)


def _changes_of(resource_type: ResourceType, operation: Operation) -> Iterator[_Change]:
    op, path, value = operation.op, operation.path, operation.value
    if path is None:
        if op is Op.REMOVE:
            raise no_target("A remove needs a path that names what to remove.")
        yield from _pathless(resource_type, op, value)
    elif urn := resource_type.extension_urn(path):
        value = None if op is Op.REMOVE else value
        yield from _members(resource_type, op, {urn: value})
    elif resource_type.is_core_urn(path) and op is not Op.REMOVE:
        yield from _pathless(resource_type, op, value)
    else:
        yield _at_path(resource_type, op, path, value)


def _at_path(resource_type: ResourceType, op: Op, text: str, value: Json) -> _Change:
    path = paths.parse(resource_type, text)
    if path.target.read_only:
        raise mutability(
            f"{path.target.text} is readOnly and set by the service; leave it out of the PATCH."
        )
    return _Change(op, path.target, path.filter, value)


def _pathless(resource_type: ResourceType, op: Op, value: Json) -> Iterator[_Change]:
    """RFC 7644 section 3.5.2.1: the value is then a set of attributes. Entra's keys are paths."""
    if not isinstance(value, dict):
        raise invalid_value(
            f"The value of an operation without a path is {shown(value)};"
            " send an object with the attributes to change, or a path."
        )
    yield from _members(resource_type, op, value)
    for key, inner in value.items():
        name, bracket, _ = key.partition("[")
        if bracket and resource_type.find(name.strip()) is not None:
            yield _at_path(resource_type, op, key, inner)


def _members(resource_type: ResourceType, op: Op, value: Mapping[str, Any]) -> Iterator[_Change]:
    for path, inner in resources.members(resource_type, value):
        yield _Change(op, path, None, inner)


# Changes to a resource


def apply(
    resource_type: ResourceType, resource: Mapping[str, Any], operations: Iterable[Operation]
) -> Resource:
    """The resource as all the operations leave it; the one passed in stays as it is.

    An operation that cannot be carried out refuses them all: invalidPath, invalidFilter,
    invalidValue, mutability or noTarget.
    """
    result = _copy(resource_type, resource)
    touched: dict[AttributePath, Op] = {}
    inspected = 0
    for change in _changes(resource_type, operations):
        target = change.target
        holder = result.setdefault(target.extension, {}) if target.extension else result
        known = holder.get(target.attribute.name)
        inspected += len(known) if isinstance(known, list) else 1
        if inspected > MAX_INSPECTED:
            raise too_many("The PATCH goes through too many values; send fewer operations at once.")
        _put(holder, target.attribute, _changed(change, known))
        touched[AttributePath(target.extension, target.attribute)] = change.op
    return _finished(resource_type, result, touched)


def _copy(resource_type: ResourceType, resource: Mapping[str, Any]) -> Resource:
    """Ours to change down to the objects of extensions; values are replaced, never changed."""
    result = dict(resource)
    for extension in resource_type.extensions:
        if extension.urn in result:
            result[extension.urn] = dict(result[extension.urn])
    return result


def _put(holder: Resource, attribute: Attribute, value: Json) -> None:
    if attribute.mutability is Mutability.IMMUTABLE:
        _check_immutable(attribute, holder.get(attribute.name), value)
    if value is None or value in ([], {}):
        holder.pop(attribute.name, None)
    else:
        holder[attribute.name] = value


def _check_immutable(attribute: Attribute, known: Json, value: Json) -> None:
    if known is not None and value != known:
        raise mutability(f"{attribute.label} is immutable: it has a value and keeps it.")


def _finished(
    resource_type: ResourceType, result: Resource, touched: Mapping[AttributePath, Op]
) -> Resource:
    for extension in resource_type.extensions:
        if not result.get(extension.urn, True):
            del result[extension.urn]
    for path in touched:
        holder = result.get(path.extension, {}) if path.extension else result
        _check(path.attribute, holder.get(path.attribute.name))
    extensions = {path.extension for path in touched}
    for path in resources.missing(resource_type, result):
        if path in touched or (path.extension and path.extension in extensions):
            raise _required(path, touched.get(path))
    if "schemas" in result:
        result["schemas"] = resources.schemas(resource_type, result)
    return result


def _check(attribute: Attribute, value: Json) -> None:
    if value is None or attribute.type is not Type.COMPLEX:
        return
    if attribute.multi_valued:
        values.check_elements(attribute, value)
    if any(each.required for each in attribute.sub_attributes.values()):
        for element in value if attribute.multi_valued else (value,):
            values.check_required(attribute, element)


def _required(path: AttributePath, op: Op | None) -> ScimError:
    detail = f"{path.text} is required and cannot be cleared; send a value for it."
    # RFC 7644 section 3.5.2.2: removing a required attribute is a matter of mutability.
    return mutability(detail) if op is Op.REMOVE else invalid_value(detail)


def _changed(change: _Change, known: Json) -> Json:
    """What a change makes of the value of its attribute; None, [] and {} mean unassigned."""
    attribute = change.target.attribute
    if attribute.multi_valued:
        return _changed_elements(change, known or [])
    if attribute.type is Type.COMPLEX:
        return _changed_complex(change, known or {})
    return None if change.op is Op.REMOVE else values.read(attribute, change.value)


def _changed_complex(change: _Change, known: Resource) -> Resource:
    if change.filter is not None and not (known and element_matches(change.filter, known)):
        if change.clears:
            return known
        known = _created(change) if not known else _refuse_target(change)
    changed = _changed_element(change, known, Op.ADD)
    return changed or {}


def _changed_elements(change: _Change, known: list[Json]) -> list[Json]:
    if change.filter is not None or change.target.sub_attribute is not None:
        return _changed_chosen(change, known)
    attribute, value = change.target.attribute, change.value
    if change.op is Op.REPLACE:
        return values.read(attribute, value) or []
    if change.op is Op.ADD:
        return _joined(attribute, known, _elements(attribute, value))
    # The RFC knows no value here, but Entra sends one to say which elements it means.
    return [] if value is None else _without(attribute, known, _elements(attribute, value))


def _elements(attribute: Attribute, value: Json) -> list[Json]:
    return [] if values.is_unassigned(value) else values.read_elements(attribute, value)


def _joined(attribute: Attribute, known: list[Json], added: list[Json]) -> list[Json]:
    elements = list(known)
    positions = {values.identity(attribute, each): i for i, each in enumerate(elements)}
    touched: set[int] = set()
    for each in added:
        position = positions.setdefault(values.identity(attribute, each), len(elements))
        touched.add(position)
        if position == len(elements):
            elements.append(each)
        elif attribute.type is Type.COMPLEX:
            elements[position] = {**elements[position], **each}
    return _one_primary(attribute, elements, touched)


def _without(attribute: Attribute, known: list[Json], removed: list[Json]) -> list[Json]:
    """The elements that agree with none of the removed ones in all that those say."""
    if attribute.type is not Type.COMPLEX:
        gone = {values.folded(attribute, each) for each in removed}
        return [each for each in known if values.folded(attribute, each) not in gone]
    if attribute.is_reference:
        removed = [{"value": each["value"]} for each in removed]
    wanted: dict[tuple[str, ...], set[tuple[Json, ...]]] = {}
    for each in removed:
        names = tuple(sorted(each))
        wanted.setdefault(names, set()).add(_folded(attribute, each, names))
    return [
        each
        for each in known
        if not any(_folded(attribute, each, names) in gone for names, gone in wanted.items())
    ]


def _folded(attribute: Attribute, element: Resource, names: tuple[str, ...]) -> tuple[Json, ...]:
    subs = attribute.sub_attributes
    return tuple(values.folded(subs[name.lower()], element.get(name)) for name in names)


def _changed_chosen(change: _Change, known: list[Json]) -> list[Json]:
    """A change of the elements that the filter chooses; without a filter, of all of them."""
    elements = list(known)
    chosen = {
        i
        for i, each in enumerate(elements)
        if change.filter is None or element_matches(change.filter, each)
    }
    if not chosen:
        if change.clears:
            return known
        chosen = {len(elements)}
        elements.append(_created(change))
    for i in chosen:
        elements[i] = _changed_element(change, elements[i], change.op)
    elements = _one_primary(change.target.attribute, elements, chosen)
    return values.distinct(change.target.attribute, (each for each in elements if each))


def _changed_element(change: _Change, element: Json, op: Op) -> Json:
    """One element, or the value of a single-valued complex attribute, after a change.

    RFC 7644 section 3.5.2.3: a replace of an element replaces it whole, one of a complex attribute
    only the sub-attributes it names; `op` tells which.
    """
    attribute, sub_attribute = change.target.attribute, change.target.sub_attribute
    if sub_attribute is not None:
        value = None if change.op is Op.REMOVE else values.read(sub_attribute, change.value)
        return _with(attribute, element, {sub_attribute.name: value})
    if change.clears:
        return None
    if attribute.type is not Type.COMPLEX:
        return values.read_element(attribute, change.value)
    parts = values.read_parts(attribute, _only(attribute, change.value))
    if op is Op.REPLACE:
        # What the filter asks for stays so: [type eq "work"] is a work address afterwards, too.
        parts = {**dict.fromkeys(element), **(_equalities(change.filter) or {}), **parts}
    return _with(attribute, element, parts)


def _only(attribute: Attribute, value: Json) -> Json:
    """Entra's documents send the manager as an array of one object."""
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    if isinstance(value, list):
        raise values.wrong_type(attribute, value)
    return value


def _with(attribute: Attribute, element: Resource, parts: Mapping[str, Json]) -> Resource:
    for name, part in parts.items():
        sub_attribute = attribute.sub_attributes[name.lower()]
        if sub_attribute.mutability is Mutability.IMMUTABLE:
            _check_immutable(sub_attribute, element.get(name), part)
    changed = {k: v for k, v in {**element, **parts}.items() if v is not None}
    if changed.get("value") == element.get("value"):
        return changed
    # What the service said of the value ($ref, display) was said of the old one.
    subs = attribute.sub_attributes
    return {k: v for k, v in changed.items() if not subs[k.lower()].read_only}


def _created(change: _Change) -> Resource:
    """The element that a value path asks for where there is none.

    RFC 7644 section 3.5.2.3 has noTarget for that; Entra means the element to be created.
    """
    if change.filter is None:
        return {}
    created = _equalities(change.filter)
    return _refuse_target(change) if created is None else created


def _refuse_target(change: _Change) -> Resource:
    raise no_target(
        f"No value of {change.target.attribute.label} matches the filter of the path,"
        " so there is nothing to change."
    )


def _equalities(tree: Filter | None) -> Resource | None:
    """What an element must hold to satisfy a filter of `eq` and `and`; None for any other."""
    match tree:
        case Compare(path, Operator.EQ, value) if path.sub_attribute and not path.read_only:
            read = values.read(path.sub_attribute, _plain(value))
            return {path.sub_attribute.name: read}
        case And(operands):
            return _merged_equalities(operands)
        case _:
            return None


def _plain(value: Json) -> Json:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _merged_equalities(operands: tuple[Filter, ...]) -> Resource | None:
    merged: Resource = {}
    for each in operands:
        found = _equalities(each)
        if found is None or any(merged.get(k, v) != v for k, v in found.items()):
            return None
        merged.update(found)
    return merged


def _one_primary(attribute: Attribute, elements: list[Json], touched: set[int]) -> list[Json]:
    """RFC 7644 section 3.5.2: a new primary value makes the old one primary false."""
    if "primary" not in attribute.sub_attributes:
        return elements
    if not any(elements[i] and elements[i].get("primary") is True for i in touched):
        return elements
    return [
        {**each, "primary": False}
        if each and each.get("primary") is True and i not in touched
        else each
        for i, each in enumerate(elements)
    ]


# Short cuts


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
    for change in _changes(resource_type, operations):
        if _depends_on_resource(resource_type, change):
            return None
        found.update(_assigned(change))
        cleared_by[change.target] = change.op
    _check_cleared(resource_type, found, cleared_by)
    return found


def _depends_on_resource(resource_type: ResourceType, change: _Change) -> bool:
    attribute = change.target.attribute
    if attribute.multi_valued or change.filter is not None:
        return True
    if change.target.extension and resource_type.extension_required[change.target.extension]:
        return True
    each = (attribute, *attribute.sub_attributes.values())
    return any(a.mutability is Mutability.IMMUTABLE for a in each) or any(
        a.required or a.multi_valued for a in attribute.sub_attributes.values()
    )


def _assigned(change: _Change) -> dict[AttributePath, Json]:
    target, attribute = change.target, change.target.attribute
    if target.sub_attribute is not None or attribute.type is not Type.COMPLEX:
        value = None if change.op is Op.REMOVE else values.read(target.target, change.value)
        return {target: value}
    if change.clears:
        parts = {a.name: None for a in attribute.sub_attributes.values() if not a.read_only}
    else:
        parts = values.read_parts(attribute, _only(attribute, change.value))
    return {
        AttributePath(target.extension, attribute, attribute.sub_attributes[name.lower()]): part
        for name, part in parts.items()
    }


def _check_cleared(
    resource_type: ResourceType,
    found: Mapping[AttributePath, Json],
    cleared_by: Mapping[AttributePath, Op],
) -> None:
    for path in resource_type.required:
        if path in found and found[path] is None:
            raise _required(path, cleared_by.get(path))


def member_changes(
    resource_type: ResourceType, operations: Iterable[Operation]
) -> MemberChanges | None:
    """What a group's PATCH makes of any group, so that none has to be read to change a member.

    None where that depends on the group. Refuses what `apply` would refuse.
    """
    members = _MemberSet()
    others: dict[AttributePath, Json] = {}
    cleared_by: dict[AttributePath, Op] = {}
    for change in _changes(resource_type, operations):
        if change.target.attribute.name == "members":
            if not members.take(change):
                return None
        elif _depends_on_resource(resource_type, change):
            return None
        else:
            others.update(_assigned(change))
            cleared_by[change.target] = change.op
    _check_cleared(resource_type, others, cleared_by)
    return members.changes(others)


class _MemberSet:
    """The sets that operations on members, one after the other, come down to."""

    __slots__ = ("_add", "_remove", "_replace")

    def __init__(self) -> None:
        self._replace = False
        self._add: dict[str, None] = {}  # a set that keeps its order
        self._remove: dict[str, None] = {}

    def take(self, change: _Change) -> bool:
        """Take one more operation in; False if its outcome depends on the group."""
        if change.target.sub_attribute is not None:
            return False
        if change.filter is not None:
            ids = _filtered_ids(change.filter)
            if ids is None or change.op is not Op.REMOVE:
                return False
            self._take_out(ids)
        elif change.op is Op.REPLACE or (change.op is Op.REMOVE and change.value is None):
            self._replace, self._add, self._remove = True, {}, {}
            self._put_in(_ids(change) if change.op is Op.REPLACE else ())
        elif change.op is Op.ADD:
            self._put_in(_ids(change))
        else:
            self._take_out(_ids(change))
        return True

    def changes(self, others: Mapping[AttributePath, Json]) -> MemberChanges:
        if len(self._add) > MAX_MEMBERS:
            raise invalid_value(f"A group has at most {MAX_MEMBERS} members.")
        return MemberChanges(self._replace, tuple(self._add), tuple(self._remove), others)

    def _put_in(self, ids: Iterable[str]) -> None:
        for each in ids:
            self._add[each] = None
            self._remove.pop(each, None)

    def _take_out(self, ids: Iterable[str]) -> None:
        for each in ids:
            self._add.pop(each, None)
            if not self._replace:
                self._remove[each] = None


def _ids(change: _Change) -> list[str]:
    return [each["value"] for each in _elements(change.target.attribute, change.value)]


def _filtered_ids(tree: Filter) -> list[str] | None:
    """The ids that `value eq "a" or value eq "b"` names; None for any other filter."""
    match tree:
        case Compare(path, Operator.EQ, str(value)) if path.target.name == "value":
            return [value]
        case Or(operands):
            found = [_filtered_ids(each) for each in operands]
            return None if None in found else [v for ids in found if ids for v in ids]
        case _:
            return None
