"""What a change makes of the value of its attribute."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from gateway.scim import values
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


def changed(change: Change, known: Json, budget: Budget) -> Json:
    """What a change makes of the value of its attribute; None, [] and {} mean unassigned."""
    attribute = change.target.attribute
    if attribute.multi_valued:
        return _changed_elements(change, known or [], budget)
    if attribute.type is Type.COMPLEX:
        return _changed_complex(change, known or {}, budget)
    return None if change.op is Op.REMOVE else values.read(attribute, change.value)


def _changed_complex(change: Change, known: Resource, budget: Budget) -> Resource:
    if change.filter is not None:
        budget.spend(filter_steps(change.filter, [known]))
        if not (known and element_test(change.filter)(known)):
            if change.clears:
                return known
            if known:
                raise _no_target(change)
            known = _created(change)
    return _edit(change, Op.ADD)(known) or {}


def _changed_elements(change: Change, known: list[Json], budget: Budget) -> list[Json]:
    if change.filter is not None or change.target.sub_attribute is not None:
        return _changed_chosen(change, known, budget)
    attribute, value = change.target.attribute, change.value
    if change.op is Op.REPLACE:
        return values.read(attribute, value) or []
    if change.op is Op.ADD:
        return _joined(attribute, known, given_elements(attribute, value), budget)
    if value is None:
        return []
    # The RFC knows no value here, but Entra sends one to say which elements it means.
    return _without(attribute, known, given_elements(attribute, value), budget)


def given_elements(attribute: Attribute, value: Json) -> list[Json]:
    """The elements that the value of an operation on a multi-valued attribute gives."""
    return [] if values.is_unassigned(value) else values.read_elements(attribute, value)


def _joined(
    attribute: Attribute, known: list[Json], added: list[Json], budget: Budget
) -> list[Json]:
    budget.spend(identity_steps(attribute, known))
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


def _without(
    attribute: Attribute, known: list[Json], removed: list[Json], budget: Budget
) -> list[Json]:
    """The elements that agree with none of the removed ones in all that those say."""
    if attribute.type is not Type.COMPLEX:
        budget.spend(comparison_steps(known, Counter([None])))
        gone = {values.folded(attribute, each) for each in removed}
        return [each for each in known if values.folded(attribute, each) not in gone]
    if attribute.is_reference:
        removed = [{"value": each["value"]} for each in removed]
    wanted: dict[tuple[Attribute, ...], set[tuple[Json, ...]]] = {}
    for each in removed:
        parts = tuple(attribute.sub_attributes[name.lower()] for name in sorted(each))
        wanted.setdefault(parts, set()).add(_folded(each, parts))
    budget.spend(comparison_steps(known, Counter(each.name for parts in wanted for each in parts)))
    return [
        each
        for each in known
        if not any(_folded(each, parts) in gone for parts, gone in wanted.items())
    ]


def _folded(element: Resource, parts: tuple[Attribute, ...]) -> tuple[Json, ...]:
    return tuple([values.folded(part, element.get(part.name)) for part in parts])


def _changed_chosen(change: Change, known: list[Json], budget: Budget) -> list[Json]:
    """A change of the elements that the filter chooses; without a filter, of all of them."""
    elements = list(known)
    budget.spend(len(elements))
    chosen = set(range(len(elements)))
    if change.filter is not None:
        budget.spend(filter_steps(change.filter, elements))
        is_meant = element_test(change.filter)
        chosen = {i for i, each in enumerate(elements) if is_meant(each)}
    if not chosen:
        if change.clears:
            return known
        chosen = {len(elements)}
        elements.append(_created(change))
    if change.clears and change.target.sub_attribute is None:
        return [each for i, each in enumerate(elements) if i not in chosen]
    attribute = change.target.attribute
    budget.spend(STEPS_PER_EDIT * len(chosen) + identity_steps(attribute, elements))
    edit = _edit(change, change.op)
    for i in chosen:
        elements[i] = edit(elements[i])
    elements = _one_primary(attribute, elements, chosen)
    return values.distinct(attribute, (each for each in elements if each not in (None, {})))


def _edit(change: Change, op: Op) -> Callable[[Json], Json]:
    """What a change makes of an element, or of the value of a single-valued complex attribute.

    RFC 7644 section 3.5.2.3: a replace of an element replaces it whole, one of a complex attribute
    only the sub-attributes it names; `op` tells which.
    """
    attribute, sub_attribute = change.target.attribute, change.target.sub_attribute
    if sub_attribute is not None:
        value = None if change.op is Op.REMOVE else values.read(sub_attribute, change.value)
        return lambda element: _with_part(change, element, {sub_attribute.name: value})
    if change.clears:
        return lambda _: None
    if attribute.type is not Type.COMPLEX:
        element = values.read_element(attribute, change.value)
        return lambda _: element
    parts = values.read_parts(attribute, only(attribute, change.value))
    if op is not Op.REPLACE:
        return lambda element: _with(attribute, element, parts)
    # What the filter asks for stays so: [type eq "work"] is a work address afterwards, too.
    parts = {**(_equalities(change.filter) or {}), **parts}
    return lambda element: _with(attribute, element, {**dict.fromkeys(element), **parts})


def _with_part(change: Change, element: Resource, part: Mapping[str, Json]) -> Json:
    changed = _with(change.target.attribute, element, part)
    return None if _is_label_only(change, changed) else changed


def _is_label_only(change: Change, element: Resource) -> bool:
    """Whether an element lost its value and only says what the value was for.

    Entra clears an address by `emails[type eq "work"].value`; {"type": "work"} is none.
    """
    attribute, cleared = change.target.attribute, change.target.sub_attribute
    is_cleared = cleared is attribute.value and "value" not in element
    return attribute.multi_valued and is_cleared and element.keys() <= {"type", "primary"}


def only(attribute: Attribute, value: Json) -> Json:
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
            check_immutable(sub_attribute, element.get(name), part)
    changed = {k: v for k, v in {**element, **parts}.items() if v is not None}
    if changed.get("value") == element.get("value"):
        return changed
    # What the service said of the value ($ref, display) was said of the old one.
    subs = attribute.sub_attributes
    return {k: v for k, v in changed.items() if not subs[k.lower()].derived}


def _created(change: Change) -> Resource:
    """The element that a value path asks for where there is none.

    RFC 7644 section 3.5.2.3 has noTarget for that; Entra means the element to be created.
    """
    if change.filter is None:
        return {}
    created = _equalities(change.filter)
    if created is None:
        raise _no_target(change)
    return created


def _no_target(change: Change) -> ScimError:
    return no_target(
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


def check_immutable(attribute: Attribute, known: Json, value: Json) -> None:
    """Refuse another value for what is immutable and has one (RFC 7643 section 7)."""
    if known is not None and value != known:
        raise mutability(f"{attribute.label} is immutable: it has a value and keeps it.")
