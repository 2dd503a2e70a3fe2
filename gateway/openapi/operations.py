"""The operations of the SCIM API, and their rendering in OpenAPI 3.1."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.openapi.messages import reference
from gateway.openapi.schemas import Json
from gateway.scim.schema import ResourceType

MEDIA_TYPE: Final = "application/scim+json"
QUERY: Final = (
    "filter",
    "sortBy",
    "sortOrder",
    "startIndex",
    "count",
    "cursor",
    "attributes",
    "excludedAttributes",
)
VIEW: Final = ("attributes", "excludedAttributes")

_BODY_ERRORS: Final = (400, 413, 415)
"""The statuses for an invalid body."""
_ME: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    id: str
    summary: str
    tag: str
    status: int
    response: str = ""
    """The schema of the response body, if there is one."""
    request: str = ""
    parameters: Sequence[str] = ()
    headers: Sequence[str] = ()
    errors: Iterable[int] = (400,)
    """Error statuses, in addition to those that every request can get."""
    more: Mapping[int, Json] = field(default_factory=dict)
    """Other successful responses, by status."""
    links: Sequence[str] = ()
    """Operations on the resource in the response, by its id."""


Operations = dict[tuple[str, str], Operation]


def operations(types: Sequence[ResourceType]) -> Operations:
    """All operations, by method and path."""
    return {
        **dict(_common_operations()),
        **dict(each for resource_type in types for each in _resource_operations(resource_type)),
        **dict(_discovery_operations()),
    }


def _common_operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    yield (
        ("GET", "/"),
        Operation(
            "listResources",
            "List resources of all types, one type after the other",
            "All",
            200,
            "ResourceList",
            parameters=QUERY,
        ),
    )
    yield ("POST", "/.search"), _search("All", "Resource")
    yield (
        ("POST", "/Bulk"),
        Operation(
            "bulk",
            "Execute up to 1,000 operations, each like a separate request",
            "All",
            200,
            "BulkResponse",
            "BulkRequest",
            errors=_BODY_ERRORS,
        ),
    )
    for method in _ME:
        yield (
            (method, "/Me"),
            Operation(
                f"{method.lower()}Me",
                "Not implemented: an API key does not represent a person",
                "All",
                501,
                "Error",
                errors=(),
            ),
        )


def _resource_operations(
    resource_type: ResourceType,
) -> Iterator[tuple[tuple[str, str], Operation]]:
    name, path, tag = resource_type.name, resource_type.endpoint, f"{resource_type.name}s"
    member = f"{path}/{{id}}"
    changes = [f"{verb}{name}" for verb in ("get", "replace", "patch", "delete")]
    yield (
        ("GET", path),
        Operation(f"list{name}s", f"List {name}s", tag, 200, f"{name}List", parameters=QUERY),
    )
    yield (
        ("POST", path),
        Operation(
            f"create{name}",
            f"Create a {name}",
            tag,
            201,
            name,
            f"{name}Request",
            VIEW,
            headers=("Location", "ETag"),
            errors=(*_BODY_ERRORS, 409),
            links=changes,
        ),
    )
    yield ("POST", f"{path}/.search"), _search(tag, name)
    yield (
        ("GET", member),
        Operation(
            f"get{name}",
            f"Read a {name}",
            tag,
            200,
            name,
            parameters=("id", *VIEW, "If-Match", "If-None-Match"),
            headers=("Location", "ETag"),
            errors=(400, 404, 412),
            more={304: {"description": "The version in If-None-Match is the current version."}},
        ),
    )
    yield (
        ("PUT", member),
        _change(
            resource_type,
            "replace",
            "Omitted attributes except `active` are cleared",
            f"{name}Request",
        ),
    )
    yield (
        ("PATCH", member),
        _change(resource_type, "patch", "Applies all operations or none", "PatchOp"),
    )
    yield (
        ("DELETE", member),
        Operation(
            f"delete{name}",
            f"Delete a {name}",
            tag,
            204,
            parameters=("id", "If-Match", "If-None-Match"),
            errors=(400, 404, 412),
        ),
    )


def _change(resource_type: ResourceType, verb: str, summary: str, request: str) -> Operation:
    large = {
        ("patch", "Group"): "Done. The group has too many members to be returned.",
        ("patch", "User"): "Done. The user is in too many groups to be returned.",
        ("replace", "User"): "Done. The user is in too many groups to be returned.",
    }
    description = large.get((verb, resource_type.name))
    return Operation(
        f"{verb}{resource_type.name}",
        f"{verb.capitalize()} a {resource_type.name}. {summary}",
        f"{resource_type.name}s",
        200,
        resource_type.name,
        request,
        ("id", *VIEW, "If-Match", "If-None-Match"),
        headers=("Location", "ETag"),
        errors=(*_BODY_ERRORS, 404, 409, 412),
        more={} if description is None else {204: {"description": description}},
    )


def _search(tag: str, name: str) -> Operation:
    return Operation(
        f"search{name}s",
        "List, with the parameters in a SearchRequest",
        tag,
        200,
        f"{name}List",
        "SearchRequest",
        errors=_BODY_ERRORS,
    )


def _discovery_operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    yield (
        ("GET", "/ServiceProviderConfig"),
        Operation(
            "getServiceProviderConfig",
            "Get the features of the server",
            "Discovery",
            200,
            "ServiceProviderConfig",
            errors=(400, 403),
        ),
    )
    for name in ("Schema", "ResourceType"):
        yield (
            ("GET", f"/{name}s"),
            Operation(
                f"list{name}s",
                f"List all {name}s, including the organization's own",
                "Discovery",
                200,
                f"{name}List",
                errors=(400, 403),
            ),
        )
        yield (
            ("GET", f"/{name}s/{{id}}"),
            Operation(
                f"get{name}",
                f"Get a {name}",
                "Discovery",
                200,
                name,
                parameters=("id",),
                errors=(400, 404),
            ),
        )


def render(operation: Operation, *, public: bool) -> Json:
    """The Operation Object of OpenAPI 3.1."""
    document: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
    }
    if operation.parameters:
        document["parameters"] = [
            {"$ref": f"#/components/parameters/{name}"} for name in operation.parameters
        ]
    if operation.request:
        schema = reference(operation.request)
        document["requestBody"] = {"required": True, "content": {MEDIA_TYPE: {"schema": schema}}}
    document["responses"] = _responses(operation, public=public)
    if public:
        document["security"] = []
    return document


def _responses(operation: Operation, *, public: bool) -> Json:
    statuses = {*operation.errors, 500, 503} | (set() if public else {401, 429})
    headers = [*operation.headers, "X-Request-Id"]
    headers += [] if public else ["RateLimit-Policy", "RateLimit"]
    success: Json = {
        "description": operation.summary,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
    }
    if operation.response:
        success["content"] = {MEDIA_TYPE: {"schema": reference(operation.response)}}
    if operation.links:
        success["links"] = {
            each: {"operationId": each, "parameters": {"id": "$response.body#/id"}}
            for each in operation.links
        }
    return {
        str(operation.status): success,
        **{str(status): each for status, each in operation.more.items()},
        **{
            str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)
        },
    }
