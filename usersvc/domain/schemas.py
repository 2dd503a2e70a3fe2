"""Extension schemas: the attributes that an organization adds to its users, and their rules."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField, Refusal
from usersvc.domain.errors import SCHEMA_EXISTS

MAX_SCHEMAS: Final = 20
MAX_ATTRIBUTES: Final = 100
MAX_CANONICAL_VALUES: Final = 250
MAX_URN: Final = 200
MAX_LABEL: Final = 200
MAX_DESCRIPTION: Final = 1_000

# RFC 8141 section 2, without characters that a URL or a filter would have to escape.
_URN: Final = re.compile(
    r"urn:[a-z0-9][a-z0-9-]{0,30}[a-z0-9]:[a-z0-9._~-]+(:[a-z0-9._~-]+)*", re.ASCII | re.IGNORECASE
)
_STANDARD: Final = "urn:ietf:"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}", re.ASCII)


class Type(Enum):
    """The data type of an attribute (RFC 7643 section 2.3)."""

    STRING = auto()
    BOOLEAN = auto()
    INTEGER = auto()
    DECIMAL = auto()
    DATE_TIME = auto()
    REFERENCE = auto()
    BINARY = auto()
    COMPLEX = auto()


class Mutability(Enum):
    """Whether an assigned value may change (RFC 7643 section 7)."""

    READ_WRITE = auto()
    IMMUTABLE = auto()


class Returned(Enum):
    """When a value is returned to an identity provider (RFC 7643 section 7)."""

    DEFAULT = auto()
    ALWAYS = auto()
    REQUEST = auto()
    NEVER = auto()


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a schema, or a sub-attribute of a complex attribute."""

    name: str
    type: Type
    multi_valued: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: Mutability = Mutability.READ_WRITE
    returned: Returned = Returned.DEFAULT
    canonical_values: tuple[str, ...] = ()
    description: str = ""
    sub_attributes: "tuple[Attribute, ...]" = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """A set of attributes that a URN identifies."""

    urn: str
    name: str
    attributes: tuple[Attribute, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class OwnedSchema:
    """A schema with the organization that registered it."""

    organization_id: UUID
    schema: Schema
    create_time: datetime


def normalized(schema: Schema) -> Schema:
    """The schema as it is stored: references and binary values become case-exact.

    RFC 7643 sections 2.3.6 and 2.3.7 require this.
    """
    return replace(schema, attributes=tuple(map(_normalized, schema.attributes)))


def _normalized(attribute: Attribute) -> Attribute:
    return replace(
        attribute,
        case_exact=attribute.case_exact or attribute.type in (Type.REFERENCE, Type.BINARY),
        sub_attributes=tuple(map(_normalized, attribute.sub_attributes)),
    )


# --- rules for schemas ------------------------------------------------------------------


def check(schema: Schema) -> None:
    """Refuse (InvalidField) a schema that breaks a rule of the contract."""
    if len(schema.urn) > MAX_URN or not _URN.fullmatch(schema.urn):
        raise InvalidField(
            "schema.urn",
            f"must be a URN of at most {MAX_URN} characters; between colons it may have letters,"
            " digits and - . _ ~",
        )
    if schema.urn.lower().startswith(_STANDARD):
        raise InvalidField(
            "schema.urn", f"begins with {_STANDARD}, which is reserved for standards"
        )
    _check_text("schema.name", schema.name, MAX_LABEL, required=True)
    _check_text("schema.description", schema.description, MAX_DESCRIPTION)
    if not schema.attributes:
        raise InvalidField("schema.attributes", "is empty")
    if sum(1 for _ in _all(schema.attributes)) > MAX_ATTRIBUTES:
        raise InvalidField(
            "schema.attributes", f"has more than {MAX_ATTRIBUTES} attributes and sub-attributes"
        )
    _check_attributes("schema.attributes", schema.attributes)


def check_with_others(schema: Schema, others: Iterable[Schema]) -> None:
    """Refuse a schema that conflicts with the organization's other schemas.

    Refuses SCHEMA_EXISTS. Refuses (InvalidField) one schema too many, and a URN that equals an
    attribute path, because a filter could then mean either.
    """
    existing = tuple(others)
    if any(other.urn.lower() == schema.urn.lower() for other in existing):
        raise Refusal(SCHEMA_EXISTS, schema.urn)
    if len(existing) >= MAX_SCHEMAS:
        raise InvalidField("schema", f"exceeds the limit of {MAX_SCHEMAS} for one organization")
    for other in existing:
        if schema.urn.lower() in _paths(other) or other.urn.lower() in _paths(schema):
            raise InvalidField(
                "schema.urn", f"is ambiguous with an attribute of {other.urn}, or the reverse"
            )


def _all(attributes: Iterable[Attribute]) -> Iterator[Attribute]:
    for attribute in attributes:
        yield attribute
        yield from attribute.sub_attributes


def _paths(schema: Schema) -> set[str]:
    paths = set()
    for attribute in schema.attributes:
        path = f"{schema.urn}:{attribute.name}".lower()
        paths.add(path)
        paths.update(f"{path}.{part.name}".lower() for part in attribute.sub_attributes)
    return paths


def _check_attributes(field: str, attributes: tuple[Attribute, ...]) -> None:
    names: set[str] = set()
    for attribute in attributes:
        _check_attribute(f"{field}.{attribute.name}", attribute)
        if attribute.name.lower() in names:
            raise InvalidField(f"{field}.{attribute.name}", "is a duplicate; case is ignored")
        names.add(attribute.name.lower())


def _check_attribute(field: str, attribute: Attribute) -> None:
    if not _NAME.fullmatch(attribute.name):
        raise InvalidField(
            field,
            "must be a letter, then letters, digits, - and _, at most 100 characters in all",
        )
    _check_text(f"{field}.description", attribute.description, MAX_DESCRIPTION)
    if len(attribute.canonical_values) > MAX_CANONICAL_VALUES:
        raise InvalidField(field, f"has more than {MAX_CANONICAL_VALUES} canonical values")
    for value in attribute.canonical_values:
        _check_text(f"{field}.canonical_values", value, MAX_LABEL, required=True)
    if attribute.type is not Type.COMPLEX:
        if attribute.sub_attributes:
            raise InvalidField(field, "has sub-attributes, but is not complex")
        return
    if not attribute.sub_attributes:
        raise InvalidField(field, "is complex, but has no sub-attributes")
    for part in attribute.sub_attributes:
        if part.multi_valued or part.type is Type.COMPLEX:
            raise InvalidField(
                f"{field}.{part.name}",
                "is multi-valued or complex, which a sub-attribute cannot be",
            )
    _check_attributes(field, attribute.sub_attributes)


def _check_text(field: str, text: str, limit: int, *, required: bool = False) -> None:
    if required and not text:
        raise InvalidField(field, "is required")
    if len(text) > limit:
        raise InvalidField(field, f"is longer than {limit:,} characters")
    if "\0" in text:
        raise InvalidField(field, "contains the NUL character")
