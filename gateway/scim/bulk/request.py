"""Bulk requests (RFC 7644 section 3.7): what they ask for, operation by operation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.scim.bulk import references
from gateway.scim.errors import ScimError, invalid_syntax, invalid_value, shown
from gateway.scim.resource import check_schemas, lower_keys

BULK_RESPONSE_URN: Final = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
MAX_OPERATIONS: Final = 1000
MAX_PATH: Final = 2_048
"""The characters of an operation's path; `/Users/` with an id of 1,024 bytes has fewer."""

_METHODS: Final = ("POST", "PUT", "PATCH", "DELETE")
_ENDPOINT: Final = "bulk"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the client sent it; `refusal` says why it cannot be carried out at all."""

    method: str
    path: str
    bulk_id: str | None = None
    version: str | None = None
    data: Mapping[str, Any] | None = None
    references: frozenset[str] = field(default=frozenset())
    """The bulkIds that its data and its path name."""
    refusal: ScimError | None = None

    @property
    def creates(self) -> str | None:
        """The bulkId that stands for the resource which the operation creates."""
        return self.bulk_id if self.method == "POST" else None


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """Operations, and after how many failures of them to stop; None for never."""

    operations: tuple[Operation, ...]
    fail_on_errors: int | None = None


def parse(body: Mapping[str, Any]) -> BulkRequest:
    """The operations of a BulkRequest message.

    Refused as a whole: no array of Operations (invalidSyntax), more of them
    than are taken (413), a failOnErrors that is no positive number
    (invalidValue). What is wrong with one operation is its own refusal, since
    the others are carried out nevertheless.
    """
    message = lower_keys(body, "The bulk request")
    check_schemas(message)
    documents = message.get("operations")
    if not isinstance(documents, list):
        raise invalid_syntax("A bulk request needs an array named Operations with what to do.")
    if len(documents) > MAX_OPERATIONS:
        raise ScimError(
            413,
            None,
            f"The bulk request has {len(documents)} operations; maxOperations is "
            f"{MAX_OPERATIONS}. Send them in several requests.",
        )
    limit = message.get("failonerrors")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise invalid_value(f"failOnErrors is {shown(limit)}; send a whole number from 1 on.")
    return BulkRequest(_checked([_operation(each) for each in documents]), limit)


def _checked(operations: list[Operation]) -> tuple[Operation, ...]:
    """The operations, with the refusals that only show when all are known."""
    counts: dict[str, int] = {}
    for each in operations:
        if each.creates is not None:
            counts[each.creates] = counts.get(each.creates, 0) + 1
    return tuple(_check(each, counts) for each in operations)


def _check(operation: Operation, counts: Mapping[str, int]) -> Operation:
    if operation.refusal is not None:
        return operation
    if operation.creates is not None and counts[operation.creates] > 1:
        # All of them: the first is no likelier to be the one that others refer to.
        return _refused(
            operation,
            f"Several operations have the bulkId {shown(operation.creates)}; give each its own.",
        )
    for name in sorted(operation.references):
        if name not in counts:
            return _refused(
                operation,
                f"No POST of this bulk request has the bulkId {shown(name)} that is referred to.",
            )
    return operation


def _refused(operation: Operation, detail: str) -> Operation:
    return Operation(
        operation.method,
        operation.path,
        operation.bulk_id,
        operation.version,
        refusal=invalid_value(detail),
    )


def _operation(document: object) -> Operation:
    members: Mapping[str, Any] = {}
    try:
        if not isinstance(document, dict):
            raise invalid_syntax(f"An operation is {shown(document)}; send an object.")
        members = lower_keys(document, "An operation of the bulk request")
        return _read(members)
    except ScimError as refusal:
        return Operation(
            _told(members, "method").upper(),
            _told(members, "path"),
            _told(members, "bulkid") or None,
            refusal=refusal,
        )


def _told(members: Mapping[str, Any], name: str) -> str:
    """What a refused operation says of itself, for the client to know it again."""
    value = members.get(name)
    if not isinstance(value, str) or len(value) > MAX_PATH or not value.isprintable():
        return ""
    return value


def _read(members: Mapping[str, Any]) -> Operation:
    method = _text(members, "method").upper()
    if method not in _METHODS:
        raise invalid_value(
            f"The method of an operation is {shown(method)}; send one of {', '.join(_METHODS)}."
        )
    path = _text(members, "path")
    _check_path(path)
    bulk_id = _text(members, "bulkId", required=False)
    if method == "POST" and not bulk_id:
        raise invalid_value("A POST has no bulkId; give it one that no other operation has.")
    data = members.get("data")
    if method == "DELETE":
        data = None
    elif not isinstance(data, dict):
        raise invalid_syntax(f"The data of a {method} is {shown(data)}; send the resource.")
    return Operation(
        method,
        path,
        bulk_id or None,
        _text(members, "version", required=False) or None,
        data,
        frozenset((*references.of_path(path), *references.of_data(data))),
    )


def _check_path(path: str) -> None:
    if len(path) > MAX_PATH:
        raise invalid_value(
            f"The path of an operation is {len(path)} characters long: {shown(path)}; at most "
            f"{MAX_PATH} are read."
        )
    first = path.strip("/").partition("/")[0]
    if not path.startswith("/") or not first:
        raise invalid_value(f"The path of an operation is {shown(path)}; send one like /Users.")
    if first.lower() == _ENDPOINT:
        raise invalid_value("A bulk request cannot be an operation of another one.")


def _text(members: Mapping[str, Any], name: str, *, required: bool = True) -> str:
    value = members.get(name.lower())
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise invalid_value(f"The {name} of an operation is {shown(value)}; send a string.")
    return value
