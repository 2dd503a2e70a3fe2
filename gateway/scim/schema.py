"""The resource types and their attributes, compiled once from the schema documents.

RFC 7643 section 7 defines the documents; `schemas/*.json` are ours. `ResourceType.find` resolves
the name of a standard attribute with one dictionary lookup.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import orjson

SCHEMA_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:Schema"
RESOURCE_TYPE_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
USER_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE_USER_URN: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"

# URNs that clients send in place of ours, in lower case: OneLogin's, those of SCIM 1.1, and
# misspellings in Entra's documents. They are read wherever ours is, and never returned.
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    USER_URN: (
        "urn:scim:schemas:core:2.0:user",
        "urn:scim:schemas:core:2.0",
        "urn:scim:schemas:core:1.0",
        "urn:ietf:params:scim:schemas:core:2.0",
    ),
    GROUP_URN: (
        "urn:scim:schemas:core:2.0:group",
        "urn:scim:schemas:core:2.0",
        "urn:scim:schemas:core:1.0",
        "urn:ietf:params:scim:schemas:core:2.0",
    ),
    ENTERPRISE_USER_URN: (
        "urn:scim:schemas:extension:enterprise:2.0:user",
        "urn:scim:schemas:extension:enterprise:2.0",
        "urn:scim:schemas:extension:enterprise:1.0",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0user",
    ),
}

_ALIAS_URNS: Final = frozenset(urn for urns in _ALIASES.values() for urn in urns)

# The limits of a string, in bytes of UTF-8. Names and keys are indexed, and PostgreSQL limits an
# index entry to about 2,700 bytes; other strings are not indexed.
MAX_KEY_BYTES: Final = 1024
MAX_TEXT_BYTES: Final = 8192
_KEYS: Final = frozenset(
    {"userName", "externalId", "displayName", "emails.value", "members.value", "manager.value"}
)

# Numbers and codes that some clients send as JSON numbers.
_NUMBERS_AS_TEXT: Final = frozenset(
    {
        *("externalId", "employeeNumber", "costCenter", "department", "division"),
        *("phoneNumbers.value", "addresses.postalCode"),
    }
)

REFERENCE: Final = "$ref"  # RFC 7643 section 2.4: the URI of the resource whose id is `value`

MAX_VALUES: Final = 250
MAX_MEMBERS: Final = 100_000


class Type(StrEnum):
    STRING = "string"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    REFERENCE = "reference"
    BINARY = "binary"
    COMPLEX = "complex"


class Mutability(StrEnum):
    READ_ONLY = "readOnly"
    READ_WRITE = "readWrite"
    IMMUTABLE = "immutable"
    WRITE_ONLY = "writeOnly"


class Returned(StrEnum):
    ALWAYS = "always"
    NEVER = "never"
    DEFAULT = "default"
    REQUEST = "request"


class Uniqueness(StrEnum):
    NONE = "none"
    SERVER = "server"
    GLOBAL = "global"


_NO_ATTRIBUTES: Final[Mapping[str, "Attribute"]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Attribute:
    """One attribute of a schema; there is one object for each, compared by identity.

    An organization may have thousands of its own, so an object keeps no text that can be derived.
    """

    name: str
    prefix: str  # precedes the name in error messages: "name." of "name.givenName"
    type: Type
    multi_valued: bool = False
    required: bool = False
    case_exact: bool = False
    mutability: Mutability = Mutability.READ_WRITE
    returned: Returned = Returned.DEFAULT
    uniqueness: Uniqueness = Uniqueness.NONE
    # Keyed in lower case.
    sub_attributes: Mapping[str, "Attribute"] = field(default_factory=lambda: _NO_ATTRIBUTES)
    max_bytes: int = MAX_TEXT_BYTES
    max_values: int = MAX_VALUES
    value: "Attribute | None" = field(init=False)  # RFC 7643 section 2.4
    is_reference: bool = field(init=False)  # its value is the id of another resource
    must_be_visible: bool = field(init=False)  # blank or invisible text is refused
    required_parts: tuple["Attribute", ...] = field(init=False)
    read_only: bool = field(init=False)
    derived: bool = field(init=False, repr=False)  # computed from the value, not stored
    clearable: bool = field(init=False)  # null clears it
    takes_empty_text: bool = field(init=False)  # "" clears it, as Entra intends
    takes_numbers: bool = field(init=False)  # a text that may be sent as a whole number
    needs_content: bool = field(init=False)  # an element with only a type is not stored

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", self.sub_attributes.get("value"))
        object.__setattr__(self, "is_reference", REFERENCE in self.sub_attributes)
        must_be_visible = self.required or self.uniqueness is not Uniqueness.NONE
        object.__setattr__(self, "must_be_visible", must_be_visible)
        parts = tuple(each for each in self.sub_attributes.values() if each.required)
        object.__setattr__(self, "required_parts", parts)
        object.__setattr__(self, "read_only", self.mutability is Mutability.READ_ONLY)
        object.__setattr__(self, "derived", self.read_only or self.name == REFERENCE)
        label = self.label
        # A user without `active` would look neither active nor inactive.
        object.__setattr__(self, "clearable", label != "active")
        has_required_parts = self.multi_valued and bool(parts)
        object.__setattr__(self, "takes_empty_text", self.clearable and not has_required_parts)
        # ":" is in the prefix of custom attributes, whose texts are often numbers of a directory.
        takes_numbers = label in _NUMBERS_AS_TEXT or ":" in self.prefix
        object.__setattr__(self, "takes_numbers", takes_numbers)
        needs_content = self.multi_valued and (self.value is not None or label == "addresses")
        object.__setattr__(self, "needs_content", needs_content and not parts)

    @property
    def label(self) -> str:
        """The name as an admin knows it: "name.givenName"."""
        return self.prefix + self.name

    def __repr__(self) -> str:
        return f"Attribute({self.label!r})"


@dataclass(frozen=True, slots=True, repr=False)
class AttributePath:
    """The path of a value in a resource; `extension` is the URN of the object that contains it."""

    extension: str | None
    attribute: Attribute
    sub_attribute: Attribute | None = None
    text: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        prefix = f"{self.extension}:" if self.extension else ""
        suffix = f".{self.sub_attribute.name}" if self.sub_attribute else ""
        object.__setattr__(self, "text", f"{prefix}{self.attribute.name}{suffix}")

    @property
    def target(self) -> Attribute:
        """The last attribute of the path: the sub-attribute if there is one."""
        return self.sub_attribute or self.attribute

    @property
    def read_only(self) -> bool:
        return self.attribute.read_only or self.target.read_only

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"AttributePath({self.text!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """A schema document (RFC 7643 section 7) and the attributes compiled from it."""

    urn: str
    name: str
    attributes: Mapping[str, Attribute]  # keyed in lower case
    read_document: Callable[[], Mapping[str, Any]] = field(repr=False)
    urns: tuple[str, ...] = field(init=False, repr=False)  # by which clients name it, in lower case

    def __post_init__(self) -> None:
        object.__setattr__(self, "urns", (self.urn.lower(), *_ALIASES.get(self.urn, ())))

    @property
    def document(self) -> Mapping[str, Any]:
        """The schema document."""
        return self.read_document()

    @classmethod
    def from_document(
        cls,
        document: Mapping[str, Any],
        label_prefix: str = "",
        read_document: Callable[[], Mapping[str, Any]] | None = None,
    ) -> "Schema":
        """Compile a schema document; raises KeyError or ValueError if it is invalid.

        `label_prefix` precedes the names of its attributes in error messages. `read_document` gives
        the document again when it is needed; without it, the schema keeps the document. A
        multi-valued or complex sub-attribute is refused, although RFC 7643 allows the former.
        """
        attributes = [_attribute(each, label_prefix) for each in document["attributes"]]
        return cls(
            urn=document["id"],
            name=document["name"],
            attributes=_by_lower_name(attributes),
            read_document=read_document or (lambda: document),
        )


def _by_lower_name(attributes: Sequence[Attribute]) -> Mapping[str, Attribute]:
    """The attributes by name in lower case; a name that has no capitals is not copied."""
    names = [(each.name.lower(), each) for each in attributes]
    return {each.name if lower == each.name else lower: each for lower, each in names}


def _attribute(document: Mapping[str, Any], prefix: str) -> Attribute:
    name = document["name"]
    label = prefix + name
    subs = [_attribute(each, f"{label}.") for each in document.get("subAttributes", ())]
    if any(each.multi_valued or each.type is Type.COMPLEX for each in subs):
        raise ValueError(f"a sub-attribute of {label} is complex or has several values")
    return Attribute(
        name=name,
        prefix=prefix,
        type=Type(document["type"]),
        multi_valued=document.get("multiValued", False),
        required=document.get("required", False),
        case_exact=document.get("caseExact", False),
        mutability=Mutability(document.get("mutability", "readWrite")),
        returned=Returned(document.get("returned", "default")),
        uniqueness=Uniqueness(document.get("uniqueness", "none")),
        sub_attributes=_by_lower_name(subs) if subs else _NO_ATTRIBUTES,
        max_bytes=MAX_KEY_BYTES if label in _KEYS else MAX_TEXT_BYTES,
        max_values=MAX_MEMBERS if label == "members" else MAX_VALUES,
    )


def _read_only(name: str, type_: str = "string", **more: object) -> dict[str, Any]:
    return {"name": name, "type": type_, "mutability": "readOnly", "caseExact": True, **more}


# RFC 7643 section 3.1: attributes of every resource, listed in no schema.
_COMMON: Final = tuple(
    _attribute(each, "")
    for each in (
        _read_only("id", returned="always", uniqueness="server"),
        _read_only("schemas", "reference", multiValued=True, returned="always"),
        _read_only(
            "meta",
            "complex",
            subAttributes=[
                _read_only("resourceType"),
                _read_only("created", "dateTime"),
                _read_only("lastModified", "dateTime"),
                _read_only("location", "reference"),
                _read_only("version"),
            ],
        ),
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class ResourceType:
    """A type of resource: its core schema and its extensions.

    `custom` are the extensions of one organization. Types of different organizations share
    everything that is derived from the standard schemas, and little is derived from `custom`.
    """

    name: str
    endpoint: str
    description: str
    schema: Schema
    extensions: tuple[Schema, ...] = ()
    custom: tuple[Schema, ...] = ()
    standard: "ResourceType | None" = field(default=None, repr=False)  # this type without `custom`
    required: tuple[AttributePath, ...] = field(init=False, repr=False)  # of the core schema
    extension_required: Mapping[str, tuple[AttributePath, ...]] = field(init=False, repr=False)
    # Attributes that are returned always; and, with sub-attributes, on request only or never.
    always_returned: tuple[AttributePath, ...] = field(init=False, repr=False)
    hidden: tuple[AttributePath, ...] = field(init=False, repr=False)
    standard_paths: Mapping[str, AttributePath] = field(init=False, repr=False)
    _urns: Mapping[str, Schema] = field(init=False, repr=False)  # in lower case

    def __post_init__(self) -> None:
        standard = self.standard
        top_level = tuple(self.top_level)
        required = [each for each in top_level if each.attribute.required]
        always = [each for each in top_level if each.attribute.returned is Returned.ALWAYS]
        object.__setattr__(self, "required", tuple(p for p in required if p.extension is None))
        object.__setattr__(
            self,
            "extension_required",
            {
                each.urn: tuple(path for path in required if path.extension == each.urn)
                for each in self.extensions
            },
        )
        object.__setattr__(self, "always_returned", tuple(always))
        object.__setattr__(self, "hidden", tuple(_hidden(top_level)))
        paths = standard.standard_paths if standard else _spellings(self, top_level)
        own = tuple(urn for each in self.custom for urn in each.urns if urn in _ALIAS_URNS)
        if own:  # an organization's schema takes precedence over another name of ours
            paths = {text: path for text, path in paths.items() if not text.startswith(own)}
        object.__setattr__(self, "standard_paths", paths)
        urns = {urn: each for each in self.extensions for urn in each.urns}
        object.__setattr__(self, "_urns", urns)

    @property
    def top_level(self) -> Iterator[AttributePath]:
        """The paths of all attributes, without sub-attributes."""
        for attribute in (*_COMMON, *self.schema.attributes.values()):
            yield AttributePath(None, attribute)
        for extension in self.extensions:
            yield from paths_of(extension)

    def find(self, text: str) -> AttributePath | None:
        """Find an attribute by its name or dotted name, in any case, with or without its URN.

        An attribute of an extension is also found without its URN, unless the core schema has one
        of the same name: Entra's documents write "manager". None if there is no such attribute.
        """
        lower = text.lower()
        path = self.standard_paths.get(lower)
        if path is not None or not self.custom:
            return path
        return self._find_qualified(lower) if ":" in lower else self._find_unqualified(lower)

    def _find_qualified(self, lower: str) -> AttributePath | None:
        """Find an attribute of `custom`, in constant time: a body may name thousands."""
        dot = lower.rfind(".")
        # The URN ends before `:name` and `:name.sub`, `.name`, or `.name.sub`.
        for end in (lower.rfind(":"), dot, lower.rfind(".", 0, max(dot, 0))):
            schema = self._urns.get(lower[: max(end, 0)])
            path = _path_in(schema, lower[end + 1 :]) if schema else None
            if path is not None:
                return path
        return None

    def _find_unqualified(self, lower: str) -> AttributePath | None:
        name = lower.partition(".")[0]
        if name in self.standard_paths:  # a standard attribute without this sub-attribute
            return None
        found = (each for each in self.custom if name in each.attributes)
        schema = next(found, None)
        return _path_in(schema, lower) if schema else None

    def extension_urn(self, text: str) -> str | None:
        """The URN of an extension as its schema spells it; None if the type does not have it."""
        schema = self._urns.get(text.lower())
        return schema.urn if schema else None

    def extension_paths(self, urn: str) -> Iterator[AttributePath]:
        """The paths of all attributes of an extension, without sub-attributes."""
        schema = self._urns.get(urn.lower())
        return paths_of(schema) if schema else iter(())

    def is_core_urn(self, text: str) -> bool:
        return text.lower() in self.schema.urns

    def with_extension(self, *schemas: Schema) -> "ResourceType":
        """This type with further extensions, for an organization's own attributes."""
        return ResourceType(
            self.name,
            self.endpoint,
            self.description,
            self.schema,
            (*self.extensions, *schemas),
            custom=(*self.custom, *schemas),
            standard=self.standard or self,
        )


def paths_of(extension: Schema) -> Iterator[AttributePath]:
    """The paths of all attributes of an extension, without sub-attributes."""
    for attribute in extension.attributes.values():
        yield AttributePath(extension.urn, attribute)


def _hidden(top_level: Sequence[AttributePath]) -> Iterator[AttributePath]:
    """The paths, with sub-attributes, that are returned on request only, or never."""
    on_request = (Returned.NEVER, Returned.REQUEST)
    for path in top_level:
        if path.attribute.returned in on_request:
            yield path
        for each in path.attribute.sub_attributes.values():
            if each.returned in on_request:
                yield AttributePath(path.extension, path.attribute, each)


def _path_in(extension: Schema, lower: str) -> AttributePath | None:
    """The path of a name or dotted name, in lower case, in an extension."""
    name, dot, sub_name = lower.partition(".")
    attribute = extension.attributes.get(name)
    if attribute is None:
        return None
    sub_attribute = attribute.sub_attributes.get(sub_name)
    if dot and sub_attribute is None:
        return None
    return AttributePath(extension.urn, attribute, sub_attribute)


def _spellings(
    resource_type: ResourceType, top_level: Sequence[AttributePath]
) -> dict[str, AttributePath]:
    """All spellings of all attribute paths, in lower case; the first path keeps a spelling."""
    schemas = {each.urn: each for each in resource_type.extensions}
    paths: dict[str, AttributePath] = {}
    for path in top_level:
        schema = schemas[path.extension] if path.extension else resource_type.schema
        name = path.attribute.name.lower()
        _spell(paths, name, path)
        for urn in schema.urns:
            _spell(paths, f"{urn}:{name}", path)
            _spell(paths, f"{urn}.{name}", path)
    return paths


def _spell(paths: dict[str, AttributePath], spelling: str, path: AttributePath) -> None:
    known = paths.setdefault(spelling, path)
    if known is not path:
        return
    for lower, sub_attribute in path.attribute.sub_attributes.items():
        sub_path = AttributePath(path.extension, path.attribute, sub_attribute)
        paths[f"{spelling}.{lower}"] = sub_path


def value_path(path: AttributePath) -> AttributePath:
    """The path itself; for a complex attribute that has a `value`, the path of that `value`."""
    if path.sub_attribute is None and path.attribute.value is not None:
        return AttributePath(path.extension, path.attribute, path.attribute.value)
    return path


def _load(file_name: str) -> Schema:
    text = (Path(__file__).parent / "schemas" / file_name).read_bytes()
    return Schema.from_document(orjson.loads(text))


USER: Final = ResourceType(
    name="User",
    endpoint="/Users",
    description="User Account",
    schema=_load("user.json"),
    extensions=(_load("enterprise_user.json"),),
)
GROUP: Final = ResourceType(
    name="Group",
    endpoint="/Groups",
    description="Group",
    schema=_load("group.json"),
)


def schema_documents(resource_types: Sequence[ResourceType], base_url: str) -> list[dict[str, Any]]:
    """The documents of GET /Schemas (RFC 7643 section 7), each schema once."""
    schemas = {
        schema.urn: schema for each in resource_types for schema in (each.schema, *each.extensions)
    }
    return [_schema_document(schema, base_url) for schema in schemas.values()]


def _schema_document(schema: Schema, base_url: str) -> dict[str, Any]:
    location = f"{base_url}/Schemas/{schema.urn}"
    meta = {"resourceType": "Schema", "location": location}
    return {"schemas": [SCHEMA_URN], **schema.document, "meta": meta}


def resource_type_documents(
    resource_types: Sequence[ResourceType], base_url: str
) -> list[dict[str, Any]]:
    """The documents of GET /ResourceTypes (RFC 7643 section 6)."""
    return [_resource_type_document(each, base_url) for each in resource_types]


def _resource_type_document(resource_type: ResourceType, base_url: str) -> dict[str, Any]:
    extensions = [{"schema": each.urn, "required": False} for each in resource_type.extensions]
    return {
        "schemas": [RESOURCE_TYPE_URN],
        "id": resource_type.name,
        "name": resource_type.name,
        "endpoint": resource_type.endpoint,
        "description": resource_type.description,
        "schema": resource_type.schema.urn,
        "schemaExtensions": extensions,
        "meta": {
            "resourceType": "ResourceType",
            "location": f"{base_url}/ResourceTypes/{resource_type.name}",
        },
    }
