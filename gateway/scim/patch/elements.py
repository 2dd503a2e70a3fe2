"""Applies a change of a PATCH request to the value of its attribute."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.scim import values
from gateway.scim.entra_roles import ROLES
from gateway.scim.errors import ScimError, mutability, no_target
from gateway.scim.filter import And, Compare, Filter, Operator, element_test
from gateway.scim.patch.budget import (
    STEPS_PER_EDIT,
    Budget,
    comparison_steps,
    filter_steps,
    identity_steps,
)
from gateway.scim.patch.changes import Change
from gateway.scim.patch.message import Op
from gateway.scim.schema import Attribute, Mutability, Type
from gateway.scim.values import Json

Resource = dict[str, Any]

_QUALIFIERS: Final = frozenset({"type", "primary"})
"""Sub-attributes that only qualify a value. An element with no others has no value."""


def apply_change(change: Change, current: Json, budget: Budget) -> Json:
    """The new value of the attribute, from its current one. None, [] and {} mean unassigned."""
    attribute = change.target.attribute
    if change.changes_nothing:
        return current
    if attribute.multi_valued:
        return _apply_to_elements(change, current or [], budget)
    if attribute.type is Type.COMPLEX:
        return _apply_to_complex(change, current or {}, budget)
    return None if change.op is Op.REMOVE else values.read(attribute, change.value)


def _apply_to_complex(change: Change, current: Resource, budget: Budget) -> Resource:
    if change.filter is not None:
        budget.spend(filter_steps(change.filter, [current]))
        if not (current and element_test(change.filter)(current)):
            if change.clears:
                return current
            if current:
                raise _no_target(change)
            current = _element_to_create(change)
    return _edit(change, Op.ADD)(current) or {}


def _apply_to_elements(change: Change, current: list[Json], budget: Budget) -> list[Json]:
    if change.filter is not None or change.target.sub_attribute is not None:
        return _apply_to_selected(change, current, budget)
    attribute, value = change.target.attribute, change.value
    if change.op is Op.REPLACE:
        return values.read(attribute, value) or []
    if change.op is Op.ADD:
        return _add_elements(attribute, current, operation_elements(attribute, value), budget)
    if value is None:
        return []
    # RFC 7644 defines no value for remove. Entra sends one, to select the elements to remove.
    return _remove_elements(attribute, current, operation_elements(attribute, value), budget)


def operation_elements(attribute: Attribute, value: Json) -> list[Json]:
    """The elements in the value of an operation on a multi-valued attribute."""
    return values.read(attribute, value) or []


def _add_elements(
    attribute: Attribute, current: list[Json], added: list[Json], budget: Budget
) -> list[Json]:
    budget.spend(identity_steps(attribute, current))
    elements = list(current)
    positions = {values.identity(attribute, each): i for i, each in enumerate(elements)}
    if attribute is ROLES:
        # Entra sends the type of a role in a POST, but not in a PATCH.
        budget.spend(identity_steps(attribute, current))
        for i, each in enumerate(elements):
            positions.setdefault(values.identity(attribute, {**each, "type": None}), i)
    touched: set[int] = set()
    for each in added:
        position = positions.setdefault(values.identity(attribute, each), len(elements))
        touched.add(position)
        if position == len(elements):
            elements.append(each)
        elif attribute.type is Type.COMPLEX:
            elements[position] = {**elements[position], **each}
    return _keep_one_primary(attribute, elements, touched)


def _remove_elements(
    attribute: Attribute, current: list[Json], removed: list[Json], budget: Budget
) -> list[Json]:
    """The elements that match no removal. A match has every sub-attribute value of the removal."""
    if attribute.type is not Type.COMPLEX:
        budget.spend(comparison_steps(current, Counter([None])))
        removed_keys = {values.folded(attribute, each) for each in removed}
        return [each for each in current if values.folded(attribute, each) not in removed_keys]
    if attribute.is_reference:
        removed = [{"value": each["value"]} for each in removed]
    elif attribute is ROLES:
        removed = [_without_display(each) for each in removed]
    removed_keys_by_parts: dict[tuple[Attribute, ...], set[tuple[Json, ...]]] = {}
    for each in removed:
        parts = tuple(attribute.sub_attributes[name.lower()] for name in sorted(each))
        removed_keys_by_parts.setdefault(parts, set()).add(_comparison_key(each, parts))
    budget.spend(
        comparison_steps(
            current, Counter(each.name for parts in removed_keys_by_parts for each in parts)
        )
    )
    return [
        each
        for each in current
        if not any(
            _comparison_key(each, parts) in removed_keys
            for parts, removed_keys in removed_keys_by_parts.items()
        )
    ]


def _without_display(role: Resource) -> Resource:
    """A role to remove, without its `display`, which may have changed since it was added.

    A role without `value` is unchanged.
    """
    return {k: v for k, v in role.items() if k != "display"} if "value" in role else role


def _comparison_key(element: Resource, parts: tuple[Attribute, ...]) -> tuple[Json, ...]:
    return tuple([values.folded(part, element.get(part.name)) for part in parts])


def _apply_to_selected(change: Change, current: list[Json], budget: Budget) -> list[Json]:
    """Apply a change to the elements that its filter selects, or to all if it has no filter."""
    elements = list(current)
    budget.spend(len(elements))
    selected = set(range(len(elements)))
    if change.filter is None:
        _check_unambiguous(change, elements)
    else:
        budget.spend(filter_steps(change.filter, elements))
        is_selected = element_test(change.filter)
        selected = {i for i, each in enumerate(elements) if is_selected(each)}
    is_new = not selected
    if is_new:
        if change.clears:
            return current
        selected = {len(elements)}
        elements.append(_element_to_create(change))
    if change.clears and change.target.sub_attribute is None:
        return [each for i, each in enumerate(elements) if i not in selected]
    attribute = change.target.attribute
    budget.spend(STEPS_PER_EDIT * len(selected) + identity_steps(attribute, elements))
    edit = _edit(change, change.op)
    for i in selected:
        elements[i] = edit(elements[i])
    if is_new:
        _check_new_type(change, elements[-1], current)
    elements = _keep_one_primary(attribute, elements, selected)
    return values.distinct(attribute, (each for each in elements if each not in (None, {})))


def _edit(change: Change, op: Op) -> Callable[[Json], Json]:
    """The function that applies a change to one element or complex value.

    RFC 7644 section 3.5.2.3: `replace` replaces a complete element of a multi-valued attribute, but
    only the given sub-attributes of a complex attribute. So the caller passes ADD as `op` for a
    complex attribute. A replacement without `value` keeps the other sub-attributes of the element,
    because what a client does not name must not be deleted.
    """
    attribute, sub_attribute = change.target.attribute, change.target.sub_attribute
    if sub_attribute is not None:
        value = None if change.op is Op.REMOVE else values.read(sub_attribute, change.value)
        return lambda element: _set_sub_attribute(change, element, {sub_attribute.name: value})
    if change.clears:
        return lambda element: (
            _merge_sub_attributes(attribute, element, dict.fromkeys(element)) or None
        )
    if attribute.type is not Type.COMPLEX:
        single = values.plain_value(change.value)
        element = values.read_element(attribute, single)
        return lambda _: element
    parts = values.read_parts(attribute, change.value)
    if op is not Op.REPLACE or (attribute.value is not None and "value" not in parts):
        return lambda element: _merge_sub_attributes(attribute, element, parts)
    # Keep the values that the filter requires: [type eq "work"] still selects a work address.
    parts = {**(_required_values(change.filter) or {}), **parts}
    return lambda element: _merge_sub_attributes(
        attribute, element, {**dict.fromkeys(element), **parts}
    )


def _set_sub_attribute(change: Change, element: Resource, part: Mapping[str, Json]) -> Json:
    changed = _merge_sub_attributes(change.target.attribute, element, part)
    return None if _has_only_qualifiers(change, changed) else changed


def _has_only_qualifiers(change: Change, element: Resource) -> bool:
    """Whether the change cleared `value`, and only the type or the primary flag is left.

    Entra clears an address with `emails[type eq "work"].value`; {"type": "work"} is no address.
    """
    attribute, cleared = change.target.attribute, change.target.sub_attribute
    is_cleared = cleared is attribute.value and "value" not in element
    return attribute.multi_valued and is_cleared and element.keys() <= _QUALIFIERS


def _merge_sub_attributes(
    attribute: Attribute, element: Resource, parts: Mapping[str, Json]
) -> Resource:
    for name, part in parts.items():
        sub_attribute = attribute.sub_attributes[name.lower()]
        if sub_attribute.mutability is Mutability.IMMUTABLE:
            check_immutable(sub_attribute, element.get(name), part)
    changed = {k: v for k, v in {**element, **parts}.items() if v is not None}
    if changed.get("value") == element.get("value"):
        return changed
    # The value changed, so drop derived sub-attributes ($ref, display): they describe the old one.
    subs = attribute.sub_attributes
    return {k: v for k, v in changed.items() if not subs[k.lower()].derived}


def _check_unambiguous(change: Change, elements: list[Json]) -> None:
    """Refuse to set one `value` in several elements, because only one of them would remain."""
    target = change.target
    if len(elements) > 1 and target.sub_attribute is target.attribute.value and not change.clears:
        raise no_target(
            f"{target.text} has {len(elements)} values. Select one by a filter in the path, or send"
            f" the path {target.attribute.label}."
        )


def _element_to_create(change: Change) -> Resource:
    """The element to create if the filter of a value path matches none.

    RFC 7644 section 3.5.2.3 requires the error noTarget here. But Entra expects that a change of
    `emails[type eq "work"]` creates the element. A filter on other sub-attributes is refused with
    noTarget: creating `emails[value eq "gone@x"]` would restore a value that was removed. So is any
    filter on members, whose type is not a label but what the member is.
    """
    if change.filter is None:
        return {}
    created = _required_values(change.filter)
    is_reference = change.target.attribute.is_reference
    if created is None or is_reference or not created.keys() <= _QUALIFIERS:
        raise _no_target(change)
    return created


def _check_new_type(change: Change, created: Resource, current: list[Json]) -> None:
    """Refuse to create a second element of one type, as a filter `type … and primary …` would."""
    type_ = change.target.attribute.sub_attributes.get("type")
    if type_ is None or "type" not in created:
        return
    new_type = values.folded(type_, created["type"])
    if any(values.folded(type_, each.get("type")) == new_type for each in current):
        raise _no_target(change)


def _no_target(change: Change) -> ScimError:
    label = change.target.attribute.label
    return no_target(
        f"No value of {label} matches the filter of the path, so there is nothing to change."
        f" Correct the filter, or add a new value with the path {label}."
    )


def _required_values(tree: Filter | None) -> Resource | None:
    """The values that a filter of only `eq` and `and` requires, or None for another filter."""
    match tree:
        case Compare(path, Operator.EQ, value) if path.sub_attribute and not path.read_only:
            read = values.read(path.sub_attribute, _to_json(value))
            return {path.sub_attribute.name: read}
        case And(operands):
            return _merged_required_values(operands)
        case _:
            return None


def _to_json(value: Json) -> Json:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _merged_required_values(operands: tuple[Filter, ...]) -> Resource | None:
    merged: Resource = {}
    for each in operands:
        found = _required_values(each)
        if found is None or any(merged.get(k, v) != v for k, v in found.items()):
            return None
        merged.update(found)
    return merged


def _keep_one_primary(attribute: Attribute, elements: list[Json], touched: set[int]) -> list[Json]:
    """If a touched element is primary, set `primary` of the others to false (RFC 7644, 3.5.2)."""
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


def check_immutable(attribute: Attribute, current: Json, value: Json) -> None:
    """Refuse to change the value of an immutable attribute (RFC 7643 section 7; mutability)."""
    if current is not None and value != current:
        raise mutability(
            f"{attribute.label} is immutable: its value cannot be changed."
            " Leave it out of the request."
        )
