"""The OpenAPI 3.1 document of the SCIM surface, made from the routes and the SCIM schemas."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.api.preconditions import MAX_LENGTH as MAX_TAGS
from gateway.api.routing import Route
from gateway.http.body import MAX_BODY_BYTES
from gateway.openapi.messages import ATTRIBUTE, FILTER, list_of, messages, reference
from gateway.openapi.operations import MEDIA_TYPE, operations, rendered
from gateway.openapi.schemas import Json, answered, sent
from gateway.scim import projection
from gateway.scim.paging import DEFAULT_PAGE, MAX_PAGE
from gateway.scim.schema import ResourceType

VERSION: Final = "1.0.0"
"""Of the description: what clients may send and are answered."""

_DESCRIPTION: Final = (
    "SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865) for the people and groups of one organization of "
    "Cloud Academy: that of the API key. "
    f"A body has at most {MAX_BODY_BYTES} bytes. Paths and parameters beyond this description are "
    "answered with an Error or ignored; attributes that are unknown are ignored, names may come "
    'in any case, and booleans as "True" and "False". Lengths are in bytes of UTF-8.'
)
_REFUSALS: Final = {
    400: "The request cannot be understood or a value cannot be taken; see scimType",
    401: "The API key is missing, unknown, ended, of the other region, or switched off",
    403: "Discovery cannot be filtered",
    404: "Nothing has this id in the organization",
    409: "Another resource has this value already",
    412: "The version in If-Match is not the current one",
    413: "The body is too large, or has too many operations",
    415: "The body is not JSON by its Content-Type",
    429: "Too many requests; try again after the time in Retry-After",
    500: "A fault of ours; tell our support the X-Request-Id",
    503: "A service is away; try again after the time in Retry-After",
}
_TEXT: Final[Json] = {"type": "string"}
_NUMBER: Final[Json] = {"type": "integer"}


def document(routes: Iterable[Route], types: Sequence[ResourceType], base_url: str) -> Json:
    """The description of these routes; a KeyError names one that nobody has described."""
    known = operations(types)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = known[route.method, route.path]
        rendering = rendered(operation, public=route.public)
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
            "responses": {str(status): _refusal(text) for status, text in _REFUSALS.items()},
        },
    }


def _resources(types: Sequence[ResourceType]) -> Json:
    schemas: Json = {}
    for each in types:
        schemas[each.name] = answered(each)
        schemas[f"{each.name}Request"] = sent(each)
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
        "sortBy": _in("query", "sortBy", ATTRIBUTE, "An attribute that has an order"),
        "sortOrder": _in("query", "sortOrder", {"enum": ["ascending", "descending"]}),
        "startIndex": _in("query", "startIndex", _NUMBER, "From 1 on; not together with cursor"),
        "count": _in(
            "query",
            "count",
            {**_NUMBER, "default": DEFAULT_PAGE},
            f"Up to {MAX_PAGE}; more means that many, and is refused by cursor",
        ),
        "cursor": _in("query", "cursor", _TEXT, "Empty for the first page (RFC 9865)"),
        "attributes": _in("query", "attributes", names, "Attribute paths, joined by commas"),
        "excludedAttributes": _in(
            "query", "excludedAttributes", names, "The same; not together with attributes"
        ),
        "If-Match": _in("header", "If-Match", tags, "Versions, or *"),
        "If-None-Match": _in("header", "If-None-Match", tags, "Versions, or *"),
    }


def _in(place: str, name: str, schema: Json, description: str = "") -> Json:
    document = {"name": name, "in": place, "schema": schema}
    return {**document, "description": description} if description else document


def _headers() -> Json:
    return {
        "Location": {"required": True, "schema": _TEXT},
        "ETag": {"required": True, "schema": _TEXT, "description": "The version of the resource."},
        "X-Request-Id": {"required": True, "schema": _TEXT, "description": "For our support."},
        "RateLimit-Policy": {"schema": _TEXT, "description": "What an organization may send."},
        "RateLimit": {"schema": _TEXT, "description": "What is left of it now."},
        "Retry-After": {"schema": _NUMBER, "description": "Seconds."},
        "WWW-Authenticate": {"schema": _TEXT},
    }


def _refusal(description: str) -> Json:
    # What is turned away at the door, or by the edge, has no id.
    names = ["Retry-After"] if "Retry-After" in description else ["X-Request-Id"]
    names += ["WWW-Authenticate"] if "API key" in description else []
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {MEDIA_TYPE: {"schema": reference("Error")}},
    }
