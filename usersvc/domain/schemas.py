"""Schemas: the attributes that an organization adds to its users, and their rules."""

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

# RFC 8141 section 2, but for what would need escapes in an address or a filter.
_URN: Final = re.compile(
    r"urn:[a-z0-9][a-z0-9-]{0,30}[a-z0-9]:[a-z0-9._~-]+(:[a-z0-9._~-]+)*", re.ASCII | re.IGNORECASE
)
_STANDARD: Final = "urn:ietf:"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}", re.ASCII)


class Type(Enum):
    """What a value is."""

    STRING = auto()
    BOOLEAN = auto()
    INTEGER = auto()
    DECIMAL = auto()
    DATE_TIME = auto()
    REFERENCE = auto()
    BINARY = auto()
    COMPLEX = auto()


class Mutability(Enum):
    """Who may change a value."""

    READ_WRITE = auto()
    IMMUTABLE = auto()


class Returned(Enum):
    """When a value is returned to an identity provider."""

    DEFAULT = auto()
    ALWAYS = auto()
    REQUEST = auto()
    NEVER = auto()


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a schema, or one part of a complex attribute."""

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
    """A set of attributes under a URN."""

    urn: str
    name: str
    attributes: tuple[Attribute, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class OwnedSchema:
    """A schema of an organization, as it was registered."""

    organization_id: UUID
    schema: Schema
    create_time: datetime


def settled(schema: Schema) -> Schema:
    """The schema as it is kept: URIs and bytes are compared as they are (RFC 7643 section 2.3)."""
    return replace(schema, attributes=tuple(map(_settled, schema.attributes)))


def _settled(attribute: Attribute) -> Attribute:
    return replace(
        attribute,
        case_exact=attribute.case_exact or attribute.type in (Type.REFERENCE, Type.BINARY),
        sub_attributes=tuple(map(_settled, attribute.sub_attributes)),
    )


# What a schema may be.


def check(schema: Schema) -> None:
    """Refuse (InvalidField) a schema that breaks a rule of the contract."""
    if len(schema.urn) > MAX_URN or not _URN.fullmatch(schema.urn):
        raise InvalidField(
            "schema.urn",
            f"is no URN of up to {MAX_URN} letters, digits and any of - . _ ~ between its colons",
        )
    if schema.urn.lower().startswith(_STANDARD):
        raise InvalidField("schema.urn", f"begins with {_STANDARD}, which is for standards")
    _check_text("schema.name", schema.name, MAX_LABEL, required=True)
    _check_text("schema.description", schema.description, MAX_DESCRIPTION)
    if not schema.attributes:
        raise InvalidField("schema.attributes", "has no element")
    if sum(1 for _ in _all(schema.attributes)) > MAX_ATTRIBUTES:
        raise InvalidField(
            "schema.attributes", f"has more than {MAX_ATTRIBUTES} elements and parts of elements"
        )
    _check_attributes("schema.attributes", schema.attributes)


def check_beside(schema: Schema, others: Iterable[Schema]) -> None:
    """Refuse a schema that the organization's others leave no room for.

    SCHEMA_EXISTS; InvalidField when they are too many, or a name would mean two things.
    """
    known = tuple(others)
    if any(other.urn.lower() == schema.urn.lower() for other in known):
        raise Refusal(SCHEMA_EXISTS, schema.urn)
    if len(known) >= MAX_SCHEMAS:
        raise InvalidField("schema", f"is one more than {MAX_SCHEMAS} of one organization")
    for other in known:
        if schema.urn.lower() in _paths(other) or other.urn.lower() in _paths(schema):
            raise InvalidField("schema.urn", f"is mistakable for an attribute beside {other.urn}")


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
            raise InvalidField(f"{field}.{attribute.name}", "is there twice; case is no difference")
        names.add(attribute.name.lower())


def _check_attribute(field: str, attribute: Attribute) -> None:
    if not _NAME.fullmatch(attribute.name):
        raise InvalidField(
            field, "is no name: a letter, then letters, digits, - and _, up to 100 in all"
        )
    _check_text(f"{field}.description", attribute.description, MAX_DESCRIPTION)
    if len(attribute.canonical_values) > MAX_CANONICAL_VALUES:
        raise InvalidField(field, f"has more than {MAX_CANONICAL_VALUES} canonical values")
    for value in attribute.canonical_values:
        _check_text(f"{field}.canonical_values", value, MAX_LABEL, required=True)
    if attribute.type is not Type.COMPLEX:
        if attribute.sub_attributes:
            raise InvalidField(field, "has sub-attributes and is not complex")
        return
    if not attribute.sub_attributes:
        raise InvalidField(field, "is complex and has no sub-attributes")
    for part in attribute.sub_attributes:
        if part.multi_valued or part.type is Type.COMPLEX:
            raise InvalidField(f"{field}.{part.name}", "has several values or parts itself")
    _check_attributes(field, attribute.sub_attributes)


def _check_text(field: str, text: str, limit: int, *, required: bool = False) -> None:
    if required and not text:
        raise InvalidField(field, "is required")
    if len(text) > limit:
        raise InvalidField(field, f"is longer than {limit:,} characters")
    if "\0" in text:
        raise InvalidField(field, "contains the NUL character")
