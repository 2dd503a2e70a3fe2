"""Extensions: a user's values for its organization's schemas, and the rules for the values."""

import base64
import binascii
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias, TypeVar

from chassis.errors import InvalidField, Refusal
from usersvc.domain import limits
from usersvc.domain.errors import FIELD_IMMUTABLE
from usersvc.domain.schemas import Attribute, Mutability, Schema, Type

MAX_VALUES: Final = 250
MAX_SIZE: Final = 512 * 1024
"""The limit of all extension values of a user, in characters; each value counts 16 more."""
ALL: Final = "extensions"
"""The path of all extensions in an update mask."""
EVERYTHING: Final = "*"

Scalar: TypeAlias = str | bool | int | float
Parts: TypeAlias = Mapping[str, Scalar]
Single: TypeAlias = Scalar | Parts
Value: TypeAlias = Single | tuple[Single, ...]
Extension: TypeAlias = Mapping[str, Value]
Extensions: TypeAlias = Mapping[str, Extension]
"""Extensions by schema URN. Empty values and empty extensions are left out."""

_V = TypeVar("_V", bound=Value)

# RFC 3339 section 5.6, limited to the offsets of xsd:dateTime: PostgreSQL allows none beyond 15:59.
_DATE_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)",
    re.ASCII,
)
# The characters of an absolute or relative URI (RFC 3986 section 2).
_URI: Final = re.compile(r"([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)


def is_urn(name: str) -> bool:
    """Whether a field name belongs to an extension."""
    return name[:4].lower() == "urn:"


def are_in_mask(mask: Iterable[str]) -> bool:
    """Whether an update mask names extensions."""
    return any(path in (ALL, EVERYTHING) or is_urn(path) for path in mask)


def apply(
    before: Extensions, new: Extensions, mask: Iterable[str], schemas: Iterable[Schema]
) -> Extensions:
    """Replace the extensions that the mask names by those in `new`.

    An extension without values is removed, whether or not an attribute is required. An immutable
    value stays if `new` leaves it out. If `new` has no value for the extension or the complex
    attribute around it, the required values beside it stay too. Refuses (InvalidField) values that
    a schema does not allow, and (FIELD_IMMUTABLE) a different value for an immutable attribute.
    """
    by_urn = {schema.urn: schema for schema in schemas}
    named = _named(before.keys() | new.keys(), tuple(mask))
    after: dict[str, Extension] = {}
    for urn in sorted(before.keys() | new.keys()):
        extension = before.get(urn, {})
        if urn in named:
            extension = _replaced(by_urn.get(urn), urn, extension, new.get(urn, {}))
        if extension:
            after[urn] = extension
    if named and sum(_size(extension) for extension in after.values()) > MAX_SIZE:
        raise InvalidField(
            ALL, f"have more than {MAX_SIZE:,} characters; each value counts 16 more"
        )
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
            _keep_immutable(f"{urn}:{attribute.name}", attribute, before[attribute.name], extension)
    if extension and not new:
        _keep_required(schema.attributes, before, extension)
    if extension and extension != before:
        check(schema, extension)
    return extension


def _keep_required(
    attributes: Iterable[Attribute], before: Mapping[str, _V], after: dict[str, _V]
) -> None:
    """Keep the required values that a client without knowledge of the schema left out."""
    for attribute in attributes:
        if attribute.required and attribute.name in before:
            after.setdefault(attribute.name, before[attribute.name])


def _keep_immutable(
    field: str, attribute: Attribute, known: Value, extension: dict[str, Value]
) -> None:
    """Keep the first value of an immutable attribute in `extension` (RFC 7643 section 7).

    For a single complex value, each immutable sub-attribute is kept by itself. The elements of a
    list are added and removed as a whole. Refuses FIELD_IMMUTABLE.
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
        if parts and not new:
            _keep_required(attribute.sub_attributes, known, parts)


# --- rules for values -------------------------------------------------------------------


def check(schema: Schema, extension: Extension) -> None:
    """Refuse (InvalidField) unknown attributes, missing required ones and invalid values."""
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
        raise InvalidField(prefix + name, "is not an attribute of its schema")
    for attribute in attributes:
        if attribute.required and attribute.name not in values:
            raise InvalidField(prefix + attribute.name, "is required")


def _singles(field: str, attribute: Attribute, value: Value) -> Iterator[Single]:
    if isinstance(value, tuple) != attribute.multi_valued:
        raise InvalidField(
            field, "must be a list of values" if attribute.multi_valued else "must be one value"
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
        limits.check(field, value, limits.MAX_TEXT_BYTES)


def _wrong_type(field: str, type_: Type) -> InvalidField:
    return InvalidField(field, f"must be {_TYPE_NAMES[type_]}")


_TYPE_NAMES: Final = {
    Type.STRING: "text",
    Type.BOOLEAN: "true or false",
    Type.INTEGER: "a whole number",
    Type.DECIMAL: "a number",
    Type.DATE_TIME: "a date and time as in RFC 3339",
    Type.REFERENCE: "a URI",
    Type.BINARY: "base64 text",
    Type.COMPLEX: "an object with sub-attributes",
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
