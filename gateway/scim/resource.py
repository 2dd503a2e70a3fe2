"""Parses the resource in a POST or PUT to its canonical form (RFC 7643 section 3).

A canonical resource is a dict with names as the schema spells them, values as `values.read`
returns them, one object per extension that has values, and no unassigned attributes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from gateway.scim import values
from gateway.scim.errors import ScimError, describe, invalid_syntax, invalid_value
from gateway.scim.schema import GROUP_URN, USER_URN, AttributePath, ResourceType, Type
from gateway.scim.values import Json

MAX_DEPTH: Final = 32
MAX_CONTAINERS: Final = 120_000
"""The most objects and arrays in a body: enough for a group of 100,000 members."""
MAX_STRINGS: Final = 200_000
"""The most strings in a body, names included. A group that fills 1 MiB with members has 160,000."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

MESSAGES: Final = "urn:ietf:params:scim:api:messages:2.0:"
"""The beginning of the URNs of messages (RFC 7644 section 10.3.2)."""
_RESOURCES: Final = frozenset({USER_URN.lower(), GROUP_URN.lower()})

Resource = dict[str, Any]


def loads(body: bytes) -> dict[str, Any]:
    """Parse the JSON object in a request body.

    Refuses invalid JSON, any value but an object, nesting deeper than MAX_DEPTH, and an object that
    has the same member twice, because a parser keeps only one of them (invalidSyntax).
    Refuses more than MAX_CONTAINERS objects and arrays or MAX_STRINGS strings (413).
    """
    structure = _outside_strings(body)
    if structure.count(b"{") + structure.count(b"[") > MAX_CONTAINERS:
        raise ScimError(
            413, None, f"The body has more than {MAX_CONTAINERS} objects and arrays; send fewer."
        )
    try:
        document = orjson.loads(body.removeprefix(_BYTE_ORDER_MARK))
    except orjson.JSONDecodeError as error:
        raise _unreadable(body, error) from None
    if not isinstance(document, dict):
        raise invalid_syntax(f"The body is {describe(document)}; send a JSON object.")
    if _count_members(document) != structure.count(b":"):
        raise _duplicate_member(body)
    return document


def _unreadable(body: bytes, error: orjson.JSONDecodeError) -> ScimError:
    """The error for a body that is not JSON; orjson's own text does not name the usual causes."""
    if not body.removeprefix(_BYTE_ORDER_MARK).strip():
        return invalid_syntax("The body is empty; send a JSON object.")
    try:
        body.decode()
    except UnicodeDecodeError as not_utf8:
        return invalid_syntax(
            f"The body is not UTF-8: byte {not_utf8.start + 1} is invalid. Send JSON in UTF-8."
        )
    return invalid_syntax(f"The body is not valid JSON: {error}.")


class _DuplicateError(Exception):
    """An object of a JSON text has two members with the name `args[0]`."""


def _duplicate_member(body: bytes) -> ScimError:
    """The error for a body with a duplicate member, which only a second parser can name."""
    try:
        json.loads(body.decode("utf-8-sig"), object_pairs_hook=_unique)
    except _DuplicateError as duplicate:
        return _same_member_twice("The body has an object that", duplicate.args[0])
    except RecursionError:
        pass
    return invalid_syntax("The body has an object that gives the same member twice.")


def _unique(pairs: Iterable[tuple[str, object]]) -> None:
    if (name := _repeated(name for name, _ in pairs)) is not None:
        raise _DuplicateError(name)


def _repeated(names: Iterable[str]) -> str | None:
    """The first name that is given a second time."""
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _same_member_twice(what: str, name: str) -> ScimError:
    return invalid_syntax(f"{what} gives the same member twice: {describe(name)}. Send it once.")


def _outside_strings(body: bytes) -> bytes:
    """The JSON text without its strings; takes linear time, also for invalid text.

    In JSON a backslash occurs only in strings and always starts an escape, so escaped backslashes
    and then escaped quotes can be removed. The remaining quotes delimit strings: every second
    piece between them is outside. Text after an unclosed quote counts as a string. Refuses (413)
    more than MAX_STRINGS.
    """
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if body.count(b'"') > 2 * MAX_STRINGS:
        raise ScimError(413, None, f"The body has more than {MAX_STRINGS} strings; send fewer.")
    return b"".join(body.split(b'"')[::2])


def _count_members(document: dict[str, Any]) -> int:
    """The number of members of all objects in a document."""
    count, level, depth = 0, [document], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise invalid_syntax(f"The body is nested more than {MAX_DEPTH} levels deep.")
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                count += len(each)
                inner.extend(v for v in each.values() if isinstance(v, dict | list))
            else:
                inner.extend(v for v in each if isinstance(v, dict | list))
        level = inner
    return count


def read(resource_type: ResourceType, document: Mapping[str, Any]) -> Resource:
    """Convert a client's document to a canonical resource.

    Names may be in any case, qualified by their URN or dotted. Unknown attributes, unknown URNs
    and readOnly attributes are ignored. Refuses a value of the wrong type, a missing required
    attribute and a second primary value (invalidValue), and an attribute that is given twice in
    two spellings (invalidSyntax).
    """
    check_schemas(document, resource_type.schema.urn)
    resource: Resource = {}
    for path, value in attribute_values(resource_type, document):
        canonical = values.read(path.target, value)
        if canonical is not None:
            _place(resource, path, canonical)
    check_required(resource_type, resource)
    return resource


def lower_keys(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The members of a message by name in lower case: clients may spell names in any case.

    Refuses (invalidSyntax) a member that is given twice; `name` is that of the message in `detail`.
    """
    lower = {key.lower(): value for key, value in document.items()}
    if len(lower) != len(document):
        raise _same_member_twice(name, _repeated(key.lower() for key in document) or "")
    return lower


def check_schemas(document: Mapping[str, Any], own: str) -> None:
    """Check the `schemas` of a message or resource whose URN is `own`. It may be missing.

    Refuses a value that is not an array of strings (invalidValue), and the URN of another message
    or resource without `own` (invalidSyntax): the client sends to the wrong endpoint. Other URNs
    are ignored, because clients send names of their own and those of older versions.
    """
    for key, value in document.items():
        if key.lower() != "schemas" or value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise invalid_value(f"schemas is {describe(value)}; send an array of schema URNs.")
        _check_kind(value, own)


def _check_kind(urns: Sequence[str], own: str) -> None:
    if own in urns:
        return
    known = {urn.lower(): urn for urn in urns}
    if own.lower() in known:
        return
    is_message = own.startswith(MESSAGES)
    for name, urn in known.items():
        if name.startswith(MESSAGES.lower()) or (not is_message and name in _RESOURCES):
            raise invalid_syntax(
                f"schemas is {describe(urn)}, but this request takes {own}. Send that URN, or omit "
                "schemas."
            )


def attribute_values(
    resource_type: ResourceType, document: Mapping[str, Any]
) -> Iterator[tuple[AttributePath, Any]]:
    """The attribute paths and values of a document, in any notation; refuses duplicates."""
    seen: set[str] = set()
    for path, value in _spread(resource_type, document):
        if path.text in seen:
            raise values.duplicate_attribute(path.text)
        seen.add(path.text)
        if not path.read_only:
            yield values.normalized(path, value)


def _spread(
    resource_type: ResourceType, document: Mapping[str, Any]
) -> Iterator[tuple[AttributePath, Any]]:
    for key, value in document.items():
        path = resource_type.find(key)
        if path is not None:
            yield path, value
        elif urn := resource_type.extension_urn(key):
            yield from _spread_schema(resource_type, urn, value)
        elif resource_type.is_core_urn(key):
            yield from _spread_schema(resource_type, resource_type.schema.urn, value)


def _spread_schema(
    resource_type: ResourceType, urn: str, value: object
) -> Iterator[tuple[AttributePath, Any]]:
    if value is None or value in ("", []):
        value = {path.attribute.name: None for path in resource_type.extension_paths(urn)}
    if not isinstance(value, dict):
        raise invalid_value(f"{urn} is {describe(value)}; send an object with its attributes.")
    for key, inner in value.items():
        path = resource_type.find(f"{urn}:{key}")
        if path is not None:
            yield path, inner


def _place(resource: Resource, path: AttributePath, value: Json) -> None:
    holder = resource.setdefault(path.extension, {}) if path.extension else resource
    name = path.attribute.name
    if path.sub_attribute is not None:
        value = {path.sub_attribute.name: value}
        if path.attribute.multi_valued:
            value = [value]
    known = holder.get(name)
    if known is None:
        holder[name] = value
    elif path.attribute.multi_valued:
        holder[name] = known + value
        values.check_elements(path.attribute, holder[name])
    elif path.attribute.type is Type.COMPLEX:
        holder[name] = {**known, **value}


def check_required(resource_type: ResourceType, resource: Resource) -> None:
    """Refuse a resource without a required attribute (invalidValue)."""
    for path in missing(resource_type, resource):
        raise invalid_value(f"{path.text} is required; send a value for it.")


def missing(resource_type: ResourceType, resource: Mapping[str, Any]) -> Iterator[AttributePath]:
    """The required attributes without a value; those of an extension only if it has values."""
    for path in resource_type.required:
        if path.attribute.name not in resource:
            yield path
    for urn, required in resource_type.extension_required.items():
        extension = resource.get(urn)
        if extension:
            yield from (path for path in required if path.attribute.name not in extension)


def schemas(resource_type: ResourceType, resource: Mapping[str, Any]) -> list[str]:
    """The `schemas` of a resource: its core schema, and the extensions that have values."""
    extensions = (each.urn for each in resource_type.extensions if resource.get(each.urn))
    return [resource_type.schema.urn, *extensions]
