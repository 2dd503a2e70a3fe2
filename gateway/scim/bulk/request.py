"""The BulkRequest message and its operations (RFC 7644 section 3.7)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.scim.bulk import references
from gateway.scim.errors import ScimError, describe, invalid_syntax, invalid_value
from gateway.scim.resource import check_schemas, lower_keys

BULK_REQUEST_URN: Final = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
BULK_RESPONSE_URN: Final = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
MAX_OPERATIONS: Final = 1000
MAX_PATH: Final = 2_048
"""The most characters in an operation's path; `/Users/` with an id of 1,024 bytes has fewer."""

_METHODS: Final = ("POST", "PUT", "PATCH", "DELETE")
_ENDPOINT: Final = "bulk"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the client sent it; `refusal` is the error if the operation is invalid."""

    method: str
    path: str
    bulk_id: str | None = None
    version: str | None = None
    data: Mapping[str, Any] | None = None
    references: frozenset[str] = field(default=frozenset())
    """The bulkIds in its data and its path."""
    refusal: ScimError | None = None

    @property
    def creates(self) -> str | None:
        """The bulkId of the resource that the operation creates; None unless it is a POST."""
        return self.bulk_id if self.method == "POST" else None


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """The operations; execution stops when `fail_on_errors` of them have failed (None: never)."""

    operations: tuple[Operation, ...]
    fail_on_errors: int | None = None


def parse(body: Mapping[str, Any]) -> BulkRequest:
    """Parse a BulkRequest message.

    Refuses the whole request if Operations is not an array or `schemas` is that of another message
    (invalidSyntax), if it has more than
    MAX_OPERATIONS (413), or if failOnErrors is not a positive number (invalidValue). An error in
    one operation becomes the `refusal` of that operation, because the others are still executed.
    """
    message = lower_keys(body, "The bulk request")
    check_schemas(message, BULK_REQUEST_URN)
    documents = message.get("operations")
    if not isinstance(documents, list):
        raise invalid_syntax("The bulk request has no Operations. Send an array of operations.")
    if len(documents) > MAX_OPERATIONS:
        raise ScimError(
            413,
            None,
            f"The bulk request has {len(documents)} operations; maxOperations is "
            f"{MAX_OPERATIONS}. Send them in several requests.",
        )
    limit = message.get("failonerrors")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise invalid_value(
            f"failOnErrors is {describe(limit)}; send a whole number of at least 1."
        )
    return BulkRequest(_checked([_operation(each) for each in documents]), limit)


def _checked(operations: list[Operation]) -> tuple[Operation, ...]:
    """Refuse operations with duplicate or unknown bulkIds."""
    counts: dict[str, int] = {}
    for each in operations:
        if each.creates is not None:
            counts[each.creates] = counts.get(each.creates, 0) + 1
    return tuple(_check(each, counts) for each in operations)


def _check(operation: Operation, counts: Mapping[str, int]) -> Operation:
    if operation.refusal is not None:
        return operation
    if operation.creates is not None and counts[operation.creates] > 1:
        # Refuse all operations with this bulkId, because a reference may mean any of them.
        return _refused(
            operation,
            f"Several operations have the bulkId {describe(operation.creates)}; give each its own.",
        )
    for name in sorted(operation.references):
        if name not in counts:
            return _refused(
                operation,
                f"The operation refers to the bulkId {describe(name)}, but no POST of this bulk "
                "request has it. Add that POST, or send the id of an existing resource.",
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
            raise invalid_syntax(f"An operation is {describe(document)}; send an object.")
        members = lower_keys(document, "An operation of the bulk request")
        return _read(members)
    except ScimError as refusal:
        return Operation(
            _echoed(members, "method").upper(),
            _echoed(members, "path"),
            _echoed(members, "bulkid") or None,
            refusal=refusal,
        )


def _echoed(members: Mapping[str, Any], name: str) -> str:
    """A member of a refused operation, echoed so that the client recognizes the operation.

    Empty if it is no string, too long or not printable.
    """
    value = members.get(name)
    if not isinstance(value, str) or len(value) > MAX_PATH or not value.isprintable():
        return ""
    return value


def _read(members: Mapping[str, Any]) -> Operation:
    method = _text(members, "method").upper()
    if method not in _METHODS:
        raise invalid_value(
            f"The method of an operation is {describe(method)}; send one of {', '.join(_METHODS)}."
        )
    path = _text(members, "path")
    _check_path(path)
    bulk_id = _text(members, "bulkId", required=False)
    if method == "POST" and not bulk_id:
        raise invalid_value(
            "A POST operation has no bulkId; give it one that no other operation has."
        )
    data = members.get("data")
    if method == "DELETE":
        data = None
    elif not isinstance(data, dict):
        raise invalid_syntax(f"The data of a {method} is {describe(data)}; send the resource.")
    return Operation(
        method,
        path,
        bulk_id or None,
        _text(members, "version", required=False) or None,
        data,
        frozenset((*references.in_path(path), *references.in_data(data))),
    )


def _check_path(path: str) -> None:
    if len(path) > MAX_PATH:
        raise invalid_value(
            f"The path of an operation is {len(path)} characters long: {describe(path)}; at most "
            f"{MAX_PATH} are read."
        )
    first = path.strip("/").partition("/")[0]
    if not path.startswith("/") or not first:
        raise invalid_value(f"The path of an operation is {describe(path)}; send one like /Users.")
    if first.lower() == _ENDPOINT:
        raise invalid_value("A bulk request cannot be an operation of another one.")


def _text(members: Mapping[str, Any], name: str, *, required: bool = True) -> str:
    value = members.get(name.lower())
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise invalid_value(f"The {name} of an operation is {describe(value)}; send a string.")
    return value
