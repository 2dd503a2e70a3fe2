"""The OpenAPI 3.1 document of the SCIM API, generated from the routes and the SCIM schemas."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.api.preconditions import MAX_LENGTH as MAX_TAGS
from gateway.api.routing import Route
from gateway.http.body import MAX_BODY_BYTES
from gateway.openapi.messages import ATTRIBUTE, FILTER, list_of, messages, reference
from gateway.openapi.operations import MEDIA_TYPE, operations, render
from gateway.openapi.schemas import Json, request_schema, response_schema
from gateway.scim import projection
from gateway.scim.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from gateway.scim.schema import ResourceType

VERSION: Final = "1.0.0"
"""The version of the API description."""

_DESCRIPTION: Final = (
    "SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865) for the people and groups of one Cloud Academy "
    "organization, which the API key determines. "
    f"A body can have up to {MAX_BODY_BYTES} bytes. Unknown paths are answered with an Error. "
    "Unknown parameters and attributes are ignored. Attribute names are case-insensitive, and "
    'booleans can also be "True" or "False". Lengths are in bytes of UTF-8.'
)
_ERRORS: Final = {
    400: "The request is malformed or a value is invalid; see scimType",
    401: "The API key is missing, unknown, expired, revoked, of another region or not active",
    403: "Discovery endpoints do not support filters",
    404: "The organization has no resource with this id",
    409: "Another resource already has this value",
    412: "The current version does not satisfy If-Match or If-None-Match",
    413: "The body is too large or has too many operations",
    415: "The Content-Type is not JSON",
    429: "Too many requests; retry after the time in Retry-After",
    500: "Internal error; contact support and include the X-Request-Id",
    503: "A service is unavailable; retry after the time in Retry-After",
}
_TEXT: Final[Json] = {"type": "string"}
_NUMBER: Final[Json] = {"type": "integer"}


def document(routes: Iterable[Route], types: Sequence[ResourceType], base_url: str) -> Json:
    """The document for these routes. Raises KeyError for a route without an `Operation`."""
    described = operations(types)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = described[route.method, route.path]
        rendering = render(operation, public=route.public)
        paths.setdefault(route.path, {})[route.method.lower()] = rendering
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cloud Academy provisioning",
            "version": VERSION,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": base_url, "description": "The Tenant URL of this region"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key of the organization's integration (RFC 6750).",
                }
            },
            "schemas": {
                **_resources(types),
                **messages([f"{each.name}Request" for each in types]),
            },
            "parameters": _parameters(),
            "headers": _headers(),
            "responses": {str(status): _error_response(text) for status, text in _ERRORS.items()},
        },
    }


def _resources(types: Sequence[ResourceType]) -> Json:
    schemas: Json = {}
    for each in types:
        schemas[each.name] = response_schema(each)
        schemas[f"{each.name}Request"] = request_schema(each)
        schemas[f"{each.name}List"] = list_of(each.name)
    for name in ("Schema", "ResourceType"):
        schemas[f"{name}List"] = list_of(name)
    schemas["ResourceList"] = list_of(*(each.name for each in types))
    return schemas


def _parameters() -> Json:
    names = {**_TEXT, "format": "scim-attributes", "maxLength": projection.MAX_LENGTH}
    tags = {**_TEXT, "format": "scim-versions", "maxLength": MAX_TAGS}
    return {
        "id": {**_in("path", "id", _TEXT), "required": True},
        "filter": _in("query", "filter", FILTER, "RFC 7644 section 3.4.2.2"),
        "sortBy": _in("query", "sortBy", ATTRIBUTE, "A sortable attribute"),
        "sortOrder": _in("query", "sortOrder", {"enum": ["ascending", "descending"]}),
        "startIndex": _in("query", "startIndex", _NUMBER, "1-based; not with cursor"),
        "count": _in(
            "query",
            "count",
            {**_NUMBER, "default": DEFAULT_PAGE_SIZE},
            f"Up to {MAX_PAGE_SIZE}. A larger value means {MAX_PAGE_SIZE}; "
            "with cursor it is refused",
        ),
        "cursor": _in("query", "cursor", _TEXT, "Empty for the first page (RFC 9865)"),
        "attributes": _in("query", "attributes", names, "Attribute paths, separated by commas"),
        "excludedAttributes": _in(
            "query",
            "excludedAttributes",
            names,
            "As attributes; not together with it",
        ),
        "If-Match": _in("header", "If-Match", tags, "Versions, or *"),
        "If-None-Match": _in("header", "If-None-Match", tags, "Versions, or *"),
    }


def _in(location: str, name: str, schema: Json, description: str = "") -> Json:
    document = {"name": name, "in": location, "schema": schema}
    return {**document, "description": description} if description else document


def _headers() -> Json:
    return {
        "Location": {"required": True, "schema": _TEXT},
        "ETag": {"required": True, "schema": _TEXT, "description": "The version of the resource."},
        "X-Request-Id": {
            "required": True,
            "schema": _TEXT,
            "description": "For support.",
        },
        "RateLimit-Policy": {"schema": _TEXT, "description": "The rate limit of the organization."},
        "RateLimit": {"schema": _TEXT, "description": "The remaining quota."},
        "Retry-After": {"schema": _NUMBER, "description": "Seconds."},
        "WWW-Authenticate": {"schema": _TEXT},
    }


def _error_response(description: str) -> Json:
    # Requests rejected by admission control or by the edge have no request id.
    names = ["Retry-After"] if "Retry-After" in description else ["X-Request-Id"]
    names += ["WWW-Authenticate"] if "API key" in description else []
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {MEDIA_TYPE: {"schema": reference("Error")}},
    }
