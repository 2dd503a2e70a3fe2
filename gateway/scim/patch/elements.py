"""Applies a change to the values of its attribute."""

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

_LABELS: Final = frozenset({"type", "primary"})
"""The sub-attributes that say what a value is for; without others, an element has no value."""


def apply_change(change: Change, known: Json, budget: Budget) -> Json:
    """The new value of the change's attribute; None, [] and {} mean unassigned."""
    attribute = change.target.attribute
    if change.changes_nothing:
        return known
    if attribute.multi_valued:
        return _apply_to_elements(change, known or [], budget)
    if attribute.type is Type.COMPLEX:
        return _apply_to_complex(change, known or {}, budget)
    return None if change.op is Op.REMOVE else values.read(attribute, change.value)


def _apply_to_complex(change: Change, known: Resource, budget: Budget) -> Resource:
    if change.filter is not None:
        budget.spend(filter_steps(change.filter, [known]))
        if not (known and element_test(change.filter)(known)):
            if change.clears:
                return known
            if known:
                raise _no_target(change)
            known = _element_to_create(change)
    return _edit(change, Op.ADD)(known) or {}


def _apply_to_elements(change: Change, known: list[Json], budget: Budget) -> list[Json]:
    if change.filter is not None or change.target.sub_attribute is not None:
        return _apply_to_selected(change, known, budget)
    attribute, value = change.target.attribute, change.value
    if change.op is Op.REPLACE:
        return values.read(attribute, value) or []
    if change.op is Op.ADD:
        return _add_elements(attribute, known, operation_elements(attribute, value), budget)
    if value is None:
        return []
    # The RFC defines no value for remove, but Entra sends one to select elements.
    return _remove_elements(attribute, known, operation_elements(attribute, value), budget)


def operation_elements(attribute: Attribute, value: Json) -> list[Json]:
    """The elements in the value of an operation on a multi-valued attribute."""
    return values.read(attribute, value) or []


def _add_elements(
    attribute: Attribute, known: list[Json], added: list[Json], budget: Budget
) -> list[Json]:
    budget.spend(identity_steps(attribute, known))
    elements = list(known)
    positions = {values.identity(attribute, each): i for i, each in enumerate(elements)}
    if attribute is ROLES:
        # Entra sends the type of a role in a POST, but not in a PATCH.
        budget.spend(identity_steps(attribute, known))
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
    attribute: Attribute, known: list[Json], removed: list[Json], budget: Budget
) -> list[Json]:
    """The elements that match no removal. A match has all sub-attributes of the removal."""
    if attribute.type is not Type.COMPLEX:
        budget.spend(comparison_steps(known, Counter([None])))
        removed_keys = {values.folded(attribute, each) for each in removed}
        return [each for each in known if values.folded(attribute, each) not in removed_keys]
    if attribute.is_reference:
        removed = [{"value": each["value"]} for each in removed]
    elif attribute is ROLES:
        removed = [_without_label(each) for each in removed]
    wanted: dict[tuple[Attribute, ...], set[tuple[Json, ...]]] = {}
    for each in removed:
        parts = tuple(attribute.sub_attributes[name.lower()] for name in sorted(each))
        wanted.setdefault(parts, set()).add(_folded(each, parts))
    budget.spend(comparison_steps(known, Counter(each.name for parts in wanted for each in parts)))
    return [
        each
        for each in known
        if not any(_folded(each, parts) in removed_keys for parts, removed_keys in wanted.items())
    ]


def _without_label(role: Resource) -> Resource:
    """A role to remove, without its label, which may have changed since the role was added."""
    return {k: v for k, v in role.items() if k != "display"} if "value" in role else role


def _folded(element: Resource, parts: tuple[Attribute, ...]) -> tuple[Json, ...]:
    return tuple([values.folded(part, element.get(part.name)) for part in parts])


def _apply_to_selected(change: Change, known: list[Json], budget: Budget) -> list[Json]:
    """Apply a change to the elements that its filter selects, or to all if it has no filter."""
    elements = list(known)
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
            return known
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
        _check_new_type(change, elements[-1], known)
    elements = _keep_one_primary(attribute, elements, selected)
    return values.distinct(attribute, (each for each in elements if each not in (None, {})))


def _edit(change: Change, op: Op) -> Callable[[Json], Json]:
    """The function that applies a change to one element or complex value.

    RFC 7644 section 3.5.2.3: `replace` replaces a complete element of a multi-valued attribute, but
    in a complex attribute only the given sub-attributes. For the latter, `op` is ADD. A replacement
    without `value` keeps the value of its element: what a client does not name is not deleted.
    """
    attribute, sub_attribute = change.target.attribute, change.target.sub_attribute
    if sub_attribute is not None:
        value = None if change.op is Op.REMOVE else values.read(sub_attribute, change.value)
        return lambda element: _set_part(change, element, {sub_attribute.name: value})
    if change.clears:
        return lambda element: _merge_parts(attribute, element, dict.fromkeys(element)) or None
    if attribute.type is not Type.COMPLEX:
        single = values.plain_value(change.value)
        element = values.read_element(attribute, single)
        return lambda _: element
    parts = values.read_parts(attribute, change.value)
    if op is not Op.REPLACE or (attribute.value is not None and "value" not in parts):
        return lambda element: _merge_parts(attribute, element, parts)
    # Keep the values of the filter: the element of [type eq "work"] remains a work address.
    parts = {**(_equalities(change.filter) or {}), **parts}
    return lambda element: _merge_parts(attribute, element, {**dict.fromkeys(element), **parts})


def _set_part(change: Change, element: Resource, part: Mapping[str, Json]) -> Json:
    changed = _merge_parts(change.target.attribute, element, part)
    return None if _is_label_only(change, changed) else changed


def _is_label_only(change: Change, element: Resource) -> bool:
    """Whether an element lost its value, so that only its type or primary flag is left.

    Entra clears an address with `emails[type eq "work"].value`; {"type": "work"} is no address.
    """
    attribute, cleared = change.target.attribute, change.target.sub_attribute
    is_cleared = cleared is attribute.value and "value" not in element
    return attribute.multi_valued and is_cleared and element.keys() <= _LABELS


def _merge_parts(attribute: Attribute, element: Resource, parts: Mapping[str, Json]) -> Resource:
    for name, part in parts.items():
        sub_attribute = attribute.sub_attributes[name.lower()]
        if sub_attribute.mutability is Mutability.IMMUTABLE:
            check_immutable(sub_attribute, element.get(name), part)
    changed = {k: v for k, v in {**element, **parts}.items() if v is not None}
    if changed.get("value") == element.get("value"):
        return changed
    # Derived sub-attributes ($ref, display) describe the old value: drop them.
    subs = attribute.sub_attributes
    return {k: v for k, v in changed.items() if not subs[k.lower()].derived}


def _check_unambiguous(change: Change, elements: list[Json]) -> None:
    """Refuse to give all elements the same `value`, because only one of them would remain."""
    target = change.target
    if len(elements) > 1 and target.sub_attribute is target.attribute.value and not change.clears:
        raise no_target(
            f"{target.text} has {len(elements)} values. Select one by a filter in the path, or send"
            f" the path {target.attribute.label}."
        )


def _element_to_create(change: Change) -> Resource:
    """The element to create for a value path that matches none.

    RFC 7644 section 3.5.2.3 requires noTarget here. Entra expects `emails[type eq "work"]` to be
    created; creating `emails[value eq "gone@x"]` would restore a value that was removed.
    """
    if change.filter is None:
        return {}
    created = _equalities(change.filter)
    if created is None or not created.keys() <= _LABELS:
        raise _no_target(change)
    return created


def _check_new_type(change: Change, created: Resource, known: list[Json]) -> None:
    """Refuse to create a second element of one type, such as for `type … and primary …`."""
    type_ = change.target.attribute.sub_attributes.get("type")
    if type_ is None or "type" not in created:
        return
    wanted = values.folded(type_, created["type"])
    if any(values.folded(type_, each.get("type")) == wanted for each in known):
        raise _no_target(change)


def _no_target(change: Change) -> ScimError:
    label = change.target.attribute.label
    return no_target(
        f"No value of {label} matches the filter of the path, so there is nothing to change."
        f" Correct the filter, or add a new value with the path {label}."
    )


def _equalities(tree: Filter | None) -> Resource | None:
    """The sub-attributes that a filter of only `eq` and `and` requires; None for other filters."""
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


def _keep_one_primary(attribute: Attribute, elements: list[Json], touched: set[int]) -> list[Json]:
    """Set `primary` of the old primary value to false if there is a new one (RFC 7644, 3.5.2)."""
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


def check_immutable(attribute: Attribute, known: Json, value: Json) -> None:
    """Refuse to change the value of an immutable attribute (RFC 7643 section 7; mutability)."""
    if known is not None and value != known:
        raise mutability(
            f"{attribute.label} is immutable: its value cannot be changed."
            " Leave it out of the request."
        )
