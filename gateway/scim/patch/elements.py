"""What a change makes of the value of its attribute."""

from collections.abc import Mapping
from typing import Any

from gateway.scim import values
from gateway.scim.errors import ScimError, mutability, no_target
from gateway.scim.filter import And, Compare, Filter, Operator, element_matches
from gateway.scim.patch.changes import Change
from gateway.scim.patch.message import Op
from gateway.scim.schema import Attribute, Mutability, Type
from gateway.scim.values import Json

Resource = dict[str, Any]


def changed(change: Change, known: Json) -> Json:
    """What a change makes of the value of its attribute; None, [] and {} mean unassigned."""
    attribute = change.target.attribute
    if attribute.multi_valued:
        return _changed_elements(change, known or [])
    if attribute.type is Type.COMPLEX:
        return _changed_complex(change, known or {})
    return None if change.op is Op.REMOVE else values.read(attribute, change.value)


def _changed_complex(change: Change, known: Resource) -> Resource:
    if change.filter is not None and not (known and element_matches(change.filter, known)):
        if change.clears:
            return known
        if known:
            raise _no_target(change)
        known = _created(change)
    return _changed_element(change, known, Op.ADD) or {}


def _changed_elements(change: Change, known: list[Json]) -> list[Json]:
    if change.filter is not None or change.target.sub_attribute is not None:
        return _changed_chosen(change, known)
    attribute, value = change.target.attribute, change.value
    if change.op is Op.REPLACE:
        return values.read(attribute, value) or []
    if change.op is Op.ADD:
        return _joined(attribute, known, given_elements(attribute, value))
    # The RFC knows no value here, but Entra sends one to say which elements it means.
    return [] if value is None else _without(attribute, known, given_elements(attribute, value))


def given_elements(attribute: Attribute, value: Json) -> list[Json]:
    """The elements that the value of an operation on a multi-valued attribute gives."""
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


def _changed_chosen(change: Change, known: list[Json]) -> list[Json]:
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
    left = (each for each in elements if each is not None and each != {})
    return values.distinct(change.target.attribute, left)


def _changed_element(change: Change, element: Json, op: Op) -> Json:
    """One element, or the value of a single-valued complex attribute, after a change.

    RFC 7644 section 3.5.2.3: a replace of an element replaces it whole, one of a complex attribute
    only the sub-attributes it names; `op` tells which.
    """
    attribute, sub_attribute = change.target.attribute, change.target.sub_attribute
    if sub_attribute is not None:
        value = None if change.op is Op.REMOVE else values.read(sub_attribute, change.value)
        changed = _with(attribute, element, {sub_attribute.name: value})
        return None if _is_label_only(change, changed) else changed
    if change.clears:
        return None
    if attribute.type is not Type.COMPLEX:
        return values.read_element(attribute, change.value)
    parts = values.read_parts(attribute, only(attribute, change.value))
    if op is Op.REPLACE:
        # What the filter asks for stays so: [type eq "work"] is a work address afterwards, too.
        parts = {**dict.fromkeys(element), **(_equalities(change.filter) or {}), **parts}
    return _with(attribute, element, parts)


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
