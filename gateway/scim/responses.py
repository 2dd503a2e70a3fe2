"""The ListResponse and Error messages (RFC 7644 sections 3.4.2 and 3.12)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from gateway.scim.errors import ScimError

LIST_RESPONSE_URN: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR_URN: Final = "urn:ietf:params:scim:api:messages:2.0:Error"


def list_response(
    resources: Sequence[Mapping[str, Any]],
    total: int | None,
    start_index: int | None = 1,
) -> dict[str, Any]:
    """A ListResponse with all its resources."""
    return list_head(len(resources), total, start_index) | {"Resources": resources}


def list_head(
    items: int,
    total: int | None,
    start_index: int | None = 1,
    *,
    next_cursor: str | None = None,
) -> dict[str, Any]:
    """A ListResponse for `items` resources, without its Resources.

    `start_index` is None with cursor pagination (RFC 9865). `total` is None if counting would be
    too expensive: providers "that are unable to estimate totalResults MAY choose to omit" it
    (RFC 9865 section 2).
    """
    body: dict[str, Any] = {"schemas": [LIST_RESPONSE_URN]}
    if total is not None:
        body["totalResults"] = total
    if start_index is not None:
        body["startIndex"] = start_index
    body["itemsPerPage"] = items
    if next_cursor is not None:
        body["nextCursor"] = next_cursor
    return body


def error_body(error: ScimError) -> dict[str, Any]:
    """An Error message; its status is a string (RFC 7644 section 3.12)."""
    body = {"schemas": [ERROR_URN], "status": str(error.status)}
    if error.scim_type is not None:
        body["scimType"] = error.scim_type
    body["detail"] = error.detail
    return body


def dumps(body: object) -> bytes:
    return orjson.dumps(body)
