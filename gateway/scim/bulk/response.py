"""The BulkResponse message (RFC 7644 section 3.7)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.scim.bulk.request import BULK_RESPONSE_URN, Operation
from gateway.scim.errors import ScimError
from gateway.scim.responses import error_body


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an operation; `location` is None if there is no resource to name."""

    operation: Operation
    status: int
    location: str | None = None
    version: str | None = None
    error: ScimError | None = None


def bulk_response(results: Iterable[Result]) -> dict[str, Any]:
    """A BulkResponse message; its `status` members are strings, as the RFC requires."""
    return {"schemas": [BULK_RESPONSE_URN], "Operations": [_document(each) for each in results]}


def _document(result: Result) -> dict[str, Any]:
    document = {
        "location": result.location,
        "method": result.operation.method,
        "bulkId": result.operation.bulk_id,
        "version": result.version,
        "status": str(result.status),
        "response": None if result.error is None else error_body(result.error),
    }
    return {name: value for name, value in document.items() if value is not None}
