"""JSON Schemas of the SCIM messages and discovery documents (RFC 7644, RFC 7643, 5 to 7)."""

from collections.abc import Sequence
from typing import Any, Final

from gateway.api.discovery import SERVICE_PROVIDER_CONFIG
from gateway.openapi.schemas import Json
from gateway.scim.bulk.request import BULK_REQUEST_URN, BULK_RESPONSE_URN
from gateway.scim.bulk.request import MAX_OPERATIONS as MAX_BULK_OPERATIONS
from gateway.scim.filter import MAX_LENGTH
from gateway.scim.paging import MAX_PAGE_SIZE
from gateway.scim.patch import PATCH_OP_URN, Op
from gateway.scim.patch.message import MAX_OPERATIONS
from gateway.scim.responses import ERROR_URN, LIST_RESPONSE_URN
from gateway.scim.schema import RESOURCE_TYPE_URN, SCHEMA_URN, Mutability, Returned, Type
from gateway.scim.search import SEARCH_REQUEST_URN

SCIM_TYPES: Final = (
    "invalidFilter",
    "tooMany",
    "uniqueness",
    "mutability",
    "invalidSyntax",
    "invalidPath",
    "noTarget",
    "invalidValue",
    "invalidCursor",
    "expiredCursor",
    "invalidCount",
)
METHODS: Final = ("POST", "PUT", "PATCH", "DELETE")

# Custom formats. RFC 7644 sections 3.10, 3.4.2.2 and 3.5.2 define their grammars.
ATTRIBUTE: Final[Json] = {"type": "string", "format": "scim-attribute"}
FILTER: Final[Json] = {"type": "string", "format": "scim-filter", "maxLength": MAX_LENGTH}

_TEXT: Final[Json] = {"type": "string"}
_FLAG: Final[Json] = {"type": "boolean"}
_COUNT: Final[Json] = {"type": "integer", "minimum": 0}
_NAMES: Final[Json] = {"type": "array", "items": _TEXT}
_SUPPORTED: Final[Json] = {"supported": _FLAG}


def reference(name: str) -> Json:
    """A reference to a schema in `components`."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(*names: str) -> Json:
    """The schema of a ListResponse whose resources have one of these schemas."""
    items = reference(names[0]) if len(names) == 1 else {"anyOf": [*map(reference, names)]}
    return _closed(
        {
            "schemas": _urn(LIST_RESPONSE_URN),
            "totalResults": {**_COUNT, "description": "Omitted with cursor-based pagination."},
            "startIndex": {"type": "integer", "minimum": 1},
            "itemsPerPage": _COUNT,
            "nextCursor": {**_TEXT, "description": "The cursor of the next page (RFC 9865)."},
            "Resources": {"type": "array", "items": items},
        },
        ["schemas", "itemsPerPage", "Resources"],
    )


def messages(resources: Sequence[str]) -> dict[str, Json]:
    """The schemas of all messages except lists; bulk requests may contain `resources`."""
    return {
        "Error": _error(),
        "PatchOp": _patch(),
        "SearchRequest": _search(),
        "BulkRequest": _bulk_request(resources),
        "BulkResponse": _bulk_response(),
        "ServiceProviderConfig": _service_provider_config(),
        "ResourceType": _resource_type(),
        "Schema": _schema(),
    }


def _urn(urn: str) -> Json:
    """The `schemas` attribute of a response."""
    return {"const": [urn]}


def _named(urn: str) -> Json:
    """The `schemas` attribute of a request, which may omit it."""
    return {**_NAMES, "default": [urn]}


def _closed(properties: dict[str, Any], required: list[str] | None = None) -> Json:
    wanted = list(properties) if required is None else required
    return {
        "type": "object",
        "required": wanted,
        "properties": properties,
        "additionalProperties": False,
    }


def _error() -> Json:
    return _closed(
        {
            "schemas": _urn(ERROR_URN),
            "status": {"type": "string", "pattern": "^[45][0-9]{2}$"},
            "scimType": {"enum": list(SCIM_TYPES)},
            "detail": {**_TEXT, "description": "What was wrong and what to do, for people."},
        },
        ["schemas", "status", "detail"],
    )


def _patch() -> Json:
    operation = {
        "type": "object",
        "required": ["op"],
        "properties": {
            "op": {"enum": [each.value for each in Op], "description": "Case-insensitive."},
            "path": {
                **_TEXT,
                "format": "scim-path",
                "maxLength": MAX_LENGTH,
                "description": 'E.g. `name.givenName`, `emails[type eq "work"].value`.',
            },
            "value": {"description": "Required for add and replace."},
        },
    }
    operations = {"type": "array", "items": operation, "maxItems": MAX_OPERATIONS}
    return {
        "type": "object",
        "required": ["Operations"],
        "properties": {"schemas": _named(PATCH_OP_URN), "Operations": operations},
    }


def _search() -> Json:
    return {
        "type": "object",
        "description": "A query with the parameters of GET. Use either startIndex or cursor.",
        "properties": {
            "schemas": _named(SEARCH_REQUEST_URN),
            "attributes": {"type": "array", "items": ATTRIBUTE},
            "excludedAttributes": {"type": "array", "items": ATTRIBUTE},
            "filter": FILTER,
            "sortBy": ATTRIBUTE,
            "sortOrder": {"enum": ["ascending", "descending"]},
            "startIndex": {"type": "integer"},
            "count": {"type": "integer", "maximum": MAX_PAGE_SIZE},
            "cursor": _TEXT,
        },
    }


def _bulk_request(resources: Sequence[str]) -> Json:
    data = {"anyOf": [reference(name) for name in (*resources, "PatchOp")]}
    operation = {
        "type": "object",
        "required": ["method", "path"],
        "properties": {
            "method": {"enum": list(METHODS)},
            "path": {
                **_TEXT,
                "format": "scim-bulk-path",
                "description": "E.g. `/Users`, `/Users/{id}`, `/Users/bulkId:a`.",
            },
            "bulkId": {
                **_TEXT,
                "format": "scim-bulk-id",
                "description": "Required for POST. Other operations can refer to it.",
            },
            "version": {**_TEXT, "description": "Has the meaning of If-Match."},
            "data": {**data, "description": "Required, except for DELETE."},
        },
    }
    return {
        "type": "object",
        "required": ["Operations"],
        "properties": {
            "schemas": _named(BULK_REQUEST_URN),
            "failOnErrors": {"type": "integer", "minimum": 1},
            "Operations": {"type": "array", "items": operation, "maxItems": MAX_BULK_OPERATIONS},
        },
    }


def _bulk_response() -> Json:
    result = _closed(
        {
            "location": _TEXT,
            "method": _TEXT,
            "bulkId": _TEXT,
            "version": _TEXT,
            "status": {"type": "string", "pattern": "^[2-5][0-9]{2}$"},
            "response": reference("Error"),
        },
        ["method", "status"],
    )
    return _closed(
        {
            "schemas": _urn(BULK_RESPONSE_URN),
            "Operations": {"type": "array", "items": result},
        }
    )


def _meta() -> Json:
    return _closed({"resourceType": _TEXT, "location": _TEXT})


def _service_provider_config() -> Json:
    scheme = _closed(
        {
            "type": _TEXT,
            "name": _TEXT,
            "description": _TEXT,
            "specUri": _TEXT,
            "primary": _FLAG,
        }
    )
    return _closed(
        {
            "schemas": _urn(SERVICE_PROVIDER_CONFIG),
            "documentationUri": _TEXT,
            "patch": _closed(_SUPPORTED),
            "bulk": _closed({**_SUPPORTED, "maxOperations": _COUNT, "maxPayloadSize": _COUNT}),
            "filter": _closed({**_SUPPORTED, "maxResults": _COUNT}),
            "pagination": _closed(
                {
                    "cursor": _FLAG,
                    "index": _FLAG,
                    "defaultPaginationMethod": {"enum": ["index", "cursor"]},
                    "defaultPageSize": _COUNT,
                    "maxPageSize": _COUNT,
                    "cursorTimeout": _COUNT,
                }
            ),
            "changePassword": _closed(_SUPPORTED),
            "sort": _closed(_SUPPORTED),
            "etag": _closed(_SUPPORTED),
            "authenticationSchemes": {"type": "array", "items": scheme},
            "meta": _meta(),
        }
    )


def _resource_type() -> Json:
    extension = _closed({"schema": _TEXT, "required": _FLAG})
    return _closed(
        {
            "schemas": _urn(RESOURCE_TYPE_URN),
            "id": _TEXT,
            "name": _TEXT,
            "endpoint": _TEXT,
            "description": _TEXT,
            "schema": _TEXT,
            "schemaExtensions": {"type": "array", "items": extension},
            "meta": _meta(),
        }
    )


def _schema() -> Json:
    attribute = {
        "type": "object",
        "required": ["name", "type", "multiValued"],
        "properties": {
            "name": _TEXT,
            "type": {"enum": [each.value for each in Type]},
            "multiValued": _FLAG,
            "description": _TEXT,
            "required": _FLAG,
            "caseExact": _FLAG,
            "mutability": {"enum": [each.value for each in Mutability]},
            "returned": {"enum": [each.value for each in Returned]},
            "uniqueness": {"enum": ["none", "server", "global"]},
            "canonicalValues": _NAMES,
            "referenceTypes": _NAMES,
            "subAttributes": {"type": "array", "items": {"type": "object"}},
        },
        "additionalProperties": False,
    }
    return _closed(
        {
            "schemas": _urn(SCHEMA_URN),
            "id": _TEXT,
            "name": _TEXT,
            "description": _TEXT,
            "attributes": {"type": "array", "items": attribute},
            "meta": _meta(),
        },
        ["schemas", "id", "name", "attributes", "meta"],
    )
