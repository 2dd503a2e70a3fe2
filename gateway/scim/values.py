"""Reads a client's values by the type of their attribute (RFC 7643 sections 2.3 to 2.5).

null, an empty array and an object without values mean unassigned (RFC 7643 section 2.5), and so
does an empty string, with which Entra clears. All are read as None. In a PATCH, only null, an empty
array and an empty string clear an attribute: an object without values names nothing to change.
"""

import base64
import binascii
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from gateway.scim.case_folding import fold
from gateway.scim.entra_roles import ROLE_VALUE, ROLES, read_role, role_in
from gateway.scim.errors import ScimError, describe, invalid_syntax, invalid_value
from gateway.scim.schema import REFERENCE, Attribute, AttributePath, Type, Uniqueness

_BOOLEANS: Final = {"true": True, "false": False}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_MAX_INTEGER: Final = 2**63
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
# xsd:dateTime, RFC 7643 section 2.3.5.
_DATE_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII | re.IGNORECASE,
)

# Control, format and surrogate characters, which are invisible.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs"})

# Sub-attributes that only describe the value of their element (RFC 7643 section 2.4).
_LABELS: Final = frozenset({"type", "primary"})
_ENDPOINTS: Final = frozenset({"Users", "Groups"})

Json = Any  # a value as orjson returns it; `object` would need a cast at every step
Element = Mapping[str, Any]


def boolean(text: str) -> bool | None:
    """The boolean that Entra sends as a string, "True" or "False"; None if it is neither."""
    return _BOOLEANS.get(text.strip().lower())


def date_time(text: str) -> datetime | None:
    """Parse an xsd:dateTime; without a zone it is in UTC. None if it is invalid."""
    if not _DATE_TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        # A time outside the years 1 to 9999 in UTC cannot be compared with others.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def integer(text: str) -> int | None:
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and fits_integer(number) else None


def fits_integer(number: int) -> bool:
    return -_MAX_INTEGER <= number < _MAX_INTEGER


def decimal(text: str) -> float | None:
    number = float(text) if _DECIMAL.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def text_fault(text: str) -> str | None:
    """Why a text cannot be stored, as the end of a sentence; None if it can."""
    if "\x00" in text:
        return "contains a NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "contains half of a surrogate pair, which is no character"
    return None


def read(attribute: Attribute, value: object) -> Json:
    """The canonical form of a client's value; None if it is unassigned.

    Refuses (invalidValue) a value of another type, a value that is too long, too many values, and
    a complex value without a required sub-attribute.
    """
    if value is None or (value == "" and attribute.takes_empty_text):
        return None
    if attribute.multi_valued:
        return read_elements(attribute, value) or None
    if isinstance(value, list):
        return read(attribute, unwrap_single(attribute, value))
    return _READERS[attribute.type](attribute, value)


def read_elements(attribute: Attribute, value: object) -> list[Any]:
    """The elements of a multi-valued attribute; a single element may come without an array."""
    values = value if isinstance(value, list) else [value]
    check_count(attribute, len(values))
    if attribute.type is not Type.COMPLEX:
        values = list(map(plain_value, values))
    elements = [each for each in (read_element(attribute, v) for v in values) if each is not None]
    if len(elements) < len(values) and attribute.required_parts:
        check_required(attribute, {})
    if len(elements) > 1:
        elements = distinct(attribute, elements)
        check_elements(attribute, elements)
    if attribute.needs_content:
        return [each for each in elements if not is_label_only(attribute, each)]
    return elements


def plain_value(value: object) -> object:
    """The `value` of an object that stands for one value of a simple multi-valued attribute.

    UnboundID's SDK sends `[{"value": "x"}]` for these, too. Anything else is returned unchanged.
    """
    if not isinstance(value, dict):
        return value
    found = [part for name, part in value.items() if name.lower() == "value"]
    return found[0] if len(found) == 1 and not isinstance(found[0], dict) else value


def read_element(attribute: Attribute, value: object) -> Json:
    """One value of an attribute; None if it is unassigned."""
    if value is None or value == "":
        return None
    return _READERS[attribute.type](attribute, value)


def check_count(attribute: Attribute, number: int) -> None:
    """Refuse more values than the attribute allows, before any of them is read."""
    if number > attribute.max_values:
        raise invalid_value(
            f"{attribute.label} has {number} values; at most {attribute.max_values} are kept."
        )


def check_elements(attribute: Attribute, elements: list[Any]) -> None:
    """Refuse more values than the attribute allows, and more than one primary value."""
    check_count(attribute, len(elements))
    if "primary" in attribute.sub_attributes:
        primaries = sum(1 for each in elements if each.get("primary") is True)
        if primaries > 1:
            # RFC 7643 section 2.4: "true" MUST appear no more than once.
            raise invalid_value(
                f"{attribute.label} has {primaries} values with primary true;"
                " mark only one of them as primary."
            )


def identity(attribute: Attribute, element: Json) -> object:
    """The key by which elements of a multi-valued attribute are distinguished.

    RFC 7643 section 2.4: the same (type, value) should not be returned twice. A reference to a
    resource is identified by its id alone. Case matters only where an attribute is caseExact.
    """
    if attribute.type is not Type.COMPLEX:
        return folded(attribute, element)
    subs = attribute.sub_attributes
    if attribute.value is None or "value" not in element:
        return frozenset((name, folded(subs[name.lower()], v)) for name, v in element.items())
    value = element["value"]
    if attribute.is_reference:
        return value
    type_ = element.get("type")
    return (type_ and folded(subs["type"], type_), folded(attribute.value, value))


def distinct(attribute: Attribute, elements: Iterable[Any]) -> list[Any]:
    """The elements without duplicates; sub-attributes that only a duplicate has are merged in."""
    kept: dict[object, Any] = {}
    for element in elements:
        key = identity(attribute, element)
        known = kept.setdefault(key, element)
        if known is not element and attribute.type is Type.COMPLEX:
            kept[key] = {**element, **known}
    return list(kept.values())


def folded(attribute: Attribute, value: Json) -> Json:
    """A value for comparison: case-folded unless the attribute is caseExact."""
    return fold(value) if isinstance(value, str) and not attribute.case_exact else value


def unwrap_single(attribute: Attribute, values: list[Any]) -> Json:
    """The value in an array of one, where one value is expected; None for an empty array.

    Older versions of Entra send `[{"$ref": null, "value": "x"}]` for "x". Refuses (invalidValue)
    more than one value: none of them is known to be the one that the client means.
    """
    if not values:
        if attribute.clearable:
            return None
        raise wrong_type(attribute, values)
    if len(values) > 1:
        raise invalid_value(f"{attribute.label} has {len(values)} values; send only one.")
    value: Any = values[0]
    if attribute.type is not Type.COMPLEX:
        value = plain_value(value)
    if isinstance(value, list):
        raise wrong_type(attribute, value)
    return value


def wrong_type(attribute: Attribute, value: object) -> ScimError:
    return invalid_value(
        f"{attribute.label} cannot be {describe(value)}; send {EXPECTED[attribute.type]}."
    )


def _read_string(attribute: Attribute, value: object) -> str:
    if not isinstance(value, str):
        if not attribute.takes_numbers or not isinstance(value, int) or isinstance(value, bool):
            raise wrong_type(attribute, value)
        value = str(value)
    if fault := text_fault(value):
        raise invalid_value(f"{attribute.label} {fault}: {describe(value)}. Remove it.")
    # UTF-8 has at most four bytes per character, so a short text need not be encoded to check it.
    size = len(value)
    if size * 4 > attribute.max_bytes and not value.isascii():
        size = len(value.encode())
    if size > attribute.max_bytes:
        raise invalid_value(
            f"{attribute.label} is {size} bytes long: {describe(value)};"
            f" at most {attribute.max_bytes} bytes of UTF-8 are kept."
        )
    if attribute.must_be_visible and (not value.isprintable() or value.isspace()):
        _check_visible(attribute, value)
    return value


def _check_visible(attribute: Attribute, text: str) -> None:
    """Refuse a required text that is blank, and a unique name with invisible characters.

    People must be able to distinguish unique names: a control or format character, such as one
    that changes the direction of writing, makes two different names look the same.
    """
    hidden = dict.fromkeys(char for char in text if unicodedata.category(char) in _HIDDEN)
    if attribute.required and all(char in hidden or char.isspace() for char in text):
        raise invalid_value(f"{attribute.label} is blank; send a value for it.")
    if hidden and attribute.uniqueness is not Uniqueness.NONE:
        raise invalid_value(
            f"{attribute.label} contains the invisible character U+{ord(next(iter(hidden))):04X}:"
            f" {describe(text)}. Remove it."
        )


def _read_boolean(attribute: Attribute, value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = boolean(value) if isinstance(value, str) else None
    if known is None:
        raise wrong_type(attribute, value)
    return known


def _read_integer(attribute: Attribute, value: object) -> int:
    number = integer(value) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool) or not fits_integer(number):
        raise wrong_type(attribute, value)
    return number


def _read_decimal(attribute: Attribute, value: object) -> float | int:
    number = decimal(value) if isinstance(value, str) else value
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise wrong_type(attribute, value)
    if not (fits_integer(number) if isinstance(number, int) else math.isfinite(number)):
        raise wrong_type(attribute, value)
    return number


def _read_date_time(attribute: Attribute, value: object) -> str:
    text = _read_string(attribute, value)
    if date_time(text) is None:
        raise wrong_type(attribute, value)
    return text


def _read_binary(attribute: Attribute, value: object) -> str:
    text = _read_string(attribute, value)
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise wrong_type(attribute, value) from None
    return text


def _read_complex(attribute: Attribute, value: object) -> dict[str, Any] | None:
    parts = read_parts(attribute, value)
    element = {name: part for name, part in parts.items() if part is not None}
    if attribute.required_parts and (element or attribute.multi_valued):
        check_required(attribute, element)
    return element or None


def is_label_only(attribute: Attribute, element: Element) -> bool:
    """Whether an element has a type or is primary, but has no value.

    Such an element is not stored: `phoneNumbers pr` must not find a user without a number.
    """
    return attribute.needs_content and "value" not in element and element.keys() <= _LABELS


def read_parts(attribute: Attribute, value: object) -> dict[str, Any]:
    """The sub-attributes of a complex value; None for those that are unassigned."""
    if attribute is ROLES:
        value = read_role(value)
    if isinstance(value, str) and attribute.value is not None:
        # Entra sends a manager or a member as the bare id (RFC 7643 section 2.4: `value` is the
        # significant part of a complex value).
        value = {"value": value}
    if not isinstance(value, dict):
        raise wrong_type(attribute, value)
    parts: dict[str, Any] = {}
    for key, part in value.items():
        sub_attribute = attribute.sub_attributes.get(key.lower())
        if sub_attribute is None or sub_attribute.read_only:
            continue
        if sub_attribute.name in parts:
            raise duplicate_attribute(sub_attribute.label)
        parts[sub_attribute.name] = read(sub_attribute, part)
    reference = parts.pop(REFERENCE, None)
    if reference is not None and parts.get("value") is None and attribute.value is not None:
        parts["value"] = read(attribute.value, referenced_id(attribute, reference))
    return parts


def normalized(path: AttributePath, value: object) -> tuple[AttributePath, object]:
    """Convert a write of a sub-attribute that stands for others to a write of those.

    `$ref` becomes `value`, because the URI is derived from the id. `roles.value` with a role of
    Entra as JSON text becomes a write of that role.
    """
    if path.sub_attribute is None:
        return path, value
    if path.sub_attribute is ROLE_VALUE and role_in(value) is not None:
        return AttributePath(path.extension, path.attribute), value
    if path.sub_attribute.name != REFERENCE or path.read_only:
        return path, value
    id_ = referenced_id(path.attribute, value) if isinstance(value, str) and value else value
    return AttributePath(path.extension, path.attribute, path.attribute.value), id_


def referenced_id(attribute: Attribute, address: str) -> str:
    """The id at the end of a resource's URI. Refuses (invalidValue) a URI without an id."""
    id_ = address.rstrip("/").rpartition("/")[2]
    if not id_ or id_ in _ENDPOINTS:
        raise invalid_value(
            f"{attribute.label}.$ref is {describe(address)}, which has no id; send the URI of a"
            " resource, or its id as value."
        )
    return id_


def names_nothing(attribute: Attribute, value: object) -> bool:
    """Whether a complex value, or all elements of an array, have no known sub-attribute."""
    if isinstance(value, list):
        return bool(value) and all(names_nothing(attribute, each) for each in value)
    return isinstance(value, dict) and not any(_is_written(attribute, key) for key in value)


def _is_written(attribute: Attribute, name: str) -> bool:
    sub_attribute = attribute.sub_attributes.get(name.lower())
    return sub_attribute is not None and not sub_attribute.read_only


def is_unassigned(value: object) -> bool:
    """Whether a value is unassigned (RFC 7643 section 2.5), or Entra's empty string."""
    return value is None or value in ("", [])


def check_required(attribute: Attribute, element: Element) -> None:
    for each in attribute.required_parts:
        if each.name not in element:
            raise invalid_value(f"{each.label} is required; send a value for it.")


def duplicate_attribute(label: str) -> ScimError:
    return invalid_syntax(
        f"The attribute {label} is given twice. Names are compared without case; send it once."
    )


_READERS: Final[Mapping[Type, Callable[[Attribute, Any], Any]]] = {
    Type.STRING: _read_string,
    Type.REFERENCE: _read_string,
    Type.BOOLEAN: _read_boolean,
    Type.INTEGER: _read_integer,
    Type.DECIMAL: _read_decimal,
    Type.DATE_TIME: _read_date_time,
    Type.BINARY: _read_binary,
    Type.COMPLEX: _read_complex,
}

EXPECTED: Final[Mapping[Type, str]] = {
    Type.STRING: "a string",
    Type.REFERENCE: "a string holding a URI",
    Type.BOOLEAN: "true or false",
    Type.INTEGER: "a whole number of 64 bits",
    Type.DECIMAL: "a number",
    Type.DATE_TIME: 'a date and time such as "2026-01-31T09:30:00Z"',
    Type.BINARY: "a string of base64",
    Type.COMPLEX: "an object with its sub-attributes",
}
"""What to send for each type, as `detail` shows it."""
