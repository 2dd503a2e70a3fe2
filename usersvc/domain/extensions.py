"""Extensions: a user's values for the schemas of its organization, and their rules."""

import base64
import binascii
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from chassis.errors import InvalidField, Refusal
from usersvc.domain import limits as texts
from usersvc.domain.errors import FIELD_IMMUTABLE
from usersvc.domain.schemas import Attribute, Mutability, Schema, Type

MAX_VALUES: Final = 250
MAX_SIZE: Final = 512 * 1024
"""How many characters all values of a user may hold, each counted as 16 more."""
ALL: Final = "extensions"
"""What a mask calls all extensions together."""
EVERYTHING: Final = "*"

Scalar: TypeAlias = str | bool | int | float
Parts: TypeAlias = Mapping[str, Scalar]
Single: TypeAlias = Scalar | Parts
Value: TypeAlias = Single | tuple[Single, ...]
Extension: TypeAlias = Mapping[str, Value]
Extensions: TypeAlias = Mapping[str, Extension]
"""By the schemas' URNs; neither a value nor an extension is ever empty."""

# RFC 3339 section 5.6, with the offsets of xsd:dateTime: PostgreSQL has none beyond 15:59.
_DATE_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)",
    re.ASCII,
)
# What RFC 3986 makes a URI, absolute or relative, of.
_URI: Final = re.compile(r"([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)


def is_urn(name: str) -> bool:
    """Whether a field is one of an extension rather than one that all users have."""
    return name[:4].lower() == "urn:"


def are_named(mask: Iterable[str]) -> bool:
    """Whether a change by this mask is one of extensions, too."""
    return any(path in (ALL, EVERYTHING) or is_urn(path) for path in mask)


def apply(
    before: Extensions, new: Extensions, mask: Iterable[str], schemas: Iterable[Schema]
) -> Extensions:
    """The extensions with those that the mask names as they are in `new`.

    What is immutable stays when `new` leaves it out. Refuses (InvalidField)
    what a schema does not allow and (FIELD_IMMUTABLE) another value for what is
    immutable.
    """
    known = {schema.urn: schema for schema in schemas}
    named = _named(before.keys() | new.keys(), tuple(mask))
    after: dict[str, Extension] = {}
    for urn in sorted(before.keys() | new.keys()):
        extension = before.get(urn, {})
        if urn in named:
            extension = _replaced(known.get(urn), urn, extension, new.get(urn, {}))
        if extension:
            after[urn] = extension
    if named and sum(_size(extension) for extension in after.values()) > MAX_SIZE:
        raise InvalidField(ALL, f"have more than {MAX_SIZE:,} characters, counting a value as 16")
    return after


def _size(value: Value | Extension) -> int:
    if isinstance(value, Mapping):
        return sum(len(name) + _size(part) for name, part in value.items())
    if isinstance(value, tuple):
        return sum(map(_size, value))
    return 16 + (len(value) if isinstance(value, str) else 0)


def _named(urns: Iterable[str], mask: tuple[str, ...]) -> set[str]:
    if ALL in mask or EVERYTHING in mask:
        return set(urns)
    wanted = {path.lower() for path in mask}
    return {urn for urn in urns if urn.lower() in wanted}


def _replaced(schema: Schema | None, urn: str, before: Extension, new: Extension) -> Extension:
    if schema is None:
        if new:
            raise InvalidField(ALL, f"the organization has no schema {urn}")
        return new
    extension = dict(new)
    for attribute in schema.attributes:
        if attribute.name in before:
            _keep(f"{urn}:{attribute.name}", attribute, before[attribute.name], extension)
    if extension != before:
        check(schema, extension)
    return extension


def _keep(field: str, attribute: Attribute, known: Value, extension: dict[str, Value]) -> None:
    """What is immutable keeps its first value (RFC 7643 section 7).

    The elements of a list come and go as a whole; the parts of a single value have their own say.
    """
    if attribute.mutability is Mutability.IMMUTABLE:
        if extension.setdefault(attribute.name, known) != known:
            raise Refusal(FIELD_IMMUTABLE, field)
    elif isinstance(known, Mapping):
        new = extension.get(attribute.name, {})
        parts = dict(new) if isinstance(new, Mapping) else {}
        for part in attribute.sub_attributes:
            if part.mutability is Mutability.IMMUTABLE and part.name in known:
                value = known[part.name]
                if parts.setdefault(part.name, value) != value:
                    raise Refusal(FIELD_IMMUTABLE, f"{field}.{part.name}")
                extension[attribute.name] = parts


# What a value may be.


def check(schema: Schema, extension: Extension) -> None:
    """Refuse (InvalidField) values that the schema has no place for, or lacks."""
    _check_names(schema.urn + ":", schema.attributes, extension)
    for attribute in schema.attributes:
        value = extension.get(attribute.name)
        if value is None:
            continue
        field = f"{schema.urn}:{attribute.name}"
        for single in _singles(field, attribute, value):
            _check_single(field, attribute, single)


def _check_names(
    prefix: str, attributes: tuple[Attribute, ...], values: Mapping[str, object]
) -> None:
    for name in values.keys() - {attribute.name for attribute in attributes}:
        raise InvalidField(prefix + name, "is no attribute of its schema")
    for attribute in attributes:
        if attribute.required and attribute.name not in values:
            raise InvalidField(prefix + attribute.name, "is required")


def _singles(field: str, attribute: Attribute, value: Value) -> Iterator[Single]:
    if isinstance(value, tuple) != attribute.multi_valued:
        raise InvalidField(
            field, "has several values" if attribute.multi_valued else "has one value"
        )
    if not isinstance(value, tuple):
        yield value
        return
    if len(value) > MAX_VALUES:
        raise InvalidField(field, f"has more than {MAX_VALUES} values")
    yield from value


def _check_single(field: str, attribute: Attribute, value: Single) -> None:
    if not isinstance(value, Mapping):
        return _check_scalar(field, attribute.type, value)
    if attribute.type is not Type.COMPLEX:
        raise _wrong_type(field, attribute.type)
    _check_names(field + ".", attribute.sub_attributes, value)
    for part in attribute.sub_attributes:
        if part.name in value:
            _check_scalar(f"{field}.{part.name}", part.type, value[part.name])
    return None


def _check_scalar(field: str, type_: Type, value: Scalar) -> None:
    match type_, value:
        case (Type.BOOLEAN, bool()) | (Type.STRING, str()):
            fits = True
        case Type.INTEGER, int():
            fits = not isinstance(value, bool)
        case Type.DECIMAL, float():
            fits = math.isfinite(value)
        case Type.DATE_TIME, str():
            fits = _is_date_time(value)
        case Type.REFERENCE, str():
            fits = _URI.fullmatch(value) is not None
        case Type.BINARY, str():
            fits = _is_base64(value)
        case _:
            fits = False
    if not fits:
        raise _wrong_type(field, type_)
    if isinstance(value, str):
        texts.check(field, value, texts.MAX_TEXT_BYTES)


def _wrong_type(field: str, type_: Type) -> InvalidField:
    return InvalidField(field, f"is no {_WANTED[type_]}")


_WANTED: Final = {
    Type.STRING: "text",
    Type.BOOLEAN: "boolean",
    Type.INTEGER: "whole number",
    Type.DECIMAL: "number",
    Type.DATE_TIME: "moment in the form of RFC 3339",
    Type.REFERENCE: "URI",
    Type.BINARY: "base64",
    Type.COMPLEX: "object with sub-attributes",
}


def _is_date_time(text: str) -> bool:
    if not _DATE_TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
