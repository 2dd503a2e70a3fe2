"""What each method of each path does, in the words of OpenAPI 3.1."""

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

_UNREAD: Final = (400, 413, 415)
"""How a body is refused that cannot be taken at all."""
_ME: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path; `refusals` are statuses beyond those of every request."""

    id: str
    summary: str
    tag: str
    status: int
    answer: str = ""
    """The schema of the answer; without one it has no body."""
    request: str = ""
    parameters: Sequence[str] = ()
    headers: Sequence[str] = ()
    refusals: Iterable[int] = (400,)
    more: Mapping[int, Json] = field(default_factory=dict)
    """Other answers that are no refusals."""
    leads_to: Sequence[str] = ()
    """Operations on what was answered, by its id."""


Operations = dict[tuple[str, str], Operation]


def operations(types: Sequence[ResourceType]) -> Operations:
    """All operations, by method and path."""
    return {
        **dict(_of_everything()),
        **dict(each for one in types for each in _of_resources(one)),
        **dict(_of_discovery()),
    }


def _of_everything() -> Iterator[tuple[tuple[str, str], Operation]]:
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
            "Carry out up to 1,000 operations, each as if it had come alone",
            "All",
            200,
            "BulkResponse",
            "BulkRequest",
            refusals=_UNREAD,
        ),
    )
    for method in _ME:
        yield (
            (method, "/Me"),
            Operation(
                f"{method.lower()}Me",
                "Refused: an API key is no person",
                "All",
                501,
                "Error",
                refusals=(),
            ),
        )


def _of_resources(one: ResourceType) -> Iterator[tuple[tuple[str, str], Operation]]:
    name, path, tag = one.name, one.endpoint, f"{one.name}s"
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
            refusals=(*_UNREAD, 409),
            leads_to=changes,
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
            parameters=("id", *VIEW, "If-None-Match"),
            headers=("Location", "ETag"),
            refusals=(400, 404),
            more={304: {"description": "The version of If-None-Match is the current one."}},
        ),
    )
    yield (
        ("PUT", member),
        _change(one, "replace", "What is left out is cleared, but for `active`", f"{name}Request"),
    )
    yield ("PATCH", member), _change(one, "patch", "All operations or none", "PatchOp")
    yield (
        ("DELETE", member),
        Operation(
            f"delete{name}",
            f"Delete a {name}",
            tag,
            204,
            parameters=("id", "If-Match"),
            refusals=(400, 404, 412),
        ),
    )


def _change(one: ResourceType, verb: str, summary: str, request: str) -> Operation:
    large = {
        ("patch", "Group"): "Done; the group has too many members to be answered with.",
        ("patch", "User"): "Done; the user is in too many groups to be answered with.",
        ("replace", "User"): "Done; the user is in too many groups to be answered with.",
    }
    description = large.get((verb, one.name))
    return Operation(
        f"{verb}{one.name}",
        f"{verb.capitalize()} a {one.name}. {summary}",
        f"{one.name}s",
        200,
        one.name,
        request,
        ("id", *VIEW, "If-Match"),
        headers=("Location", "ETag"),
        refusals=(*_UNREAD, 404, 409, 412),
        more={} if description is None else {204: {"description": description}},
    )


def _search(tag: str, name: str) -> Operation:
    return Operation(
        f"search{name}s",
        "List, with a SearchRequest for parameters",
        tag,
        200,
        f"{name}List",
        "SearchRequest",
        refusals=_UNREAD,
    )


def _of_discovery() -> Iterator[tuple[tuple[str, str], Operation]]:
    yield (
        ("GET", "/ServiceProviderConfig"),
        Operation(
            "getServiceProviderConfig",
            "What the server can do",
            "Discovery",
            200,
            "ServiceProviderConfig",
            refusals=(400, 403),
        ),
    )
    for name in ("Schema", "ResourceType"):
        yield (
            ("GET", f"/{name}s"),
            Operation(
                f"list{name}s",
                f"All {name}s, the organization's own among them",
                "Discovery",
                200,
                f"{name}List",
                refusals=(400, 403),
            ),
        )
        yield (
            ("GET", f"/{name}s/{{id}}"),
            Operation(
                f"get{name}",
                f"One {name}",
                "Discovery",
                200,
                name,
                parameters=("id",),
                refusals=(400, 404),
            ),
        )


def rendered(operation: Operation, *, public: bool) -> Json:
    """An operation as OpenAPI has it."""
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
    statuses = {*operation.refusals, 500, 503} | (set() if public else {401, 429})
    headers = [*operation.headers, "X-Request-Id"]
    headers += [] if public else ["RateLimit-Policy", "RateLimit"]
    success: Json = {
        "description": operation.summary,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
    }
    if operation.answer:
        success["content"] = {MEDIA_TYPE: {"schema": reference(operation.answer)}}
    if operation.leads_to:
        success["links"] = {
            each: {"operationId": each, "parameters": {"id": "$response.body#/id"}}
            for each in operation.leads_to
        }
    return {
        str(operation.status): success,
        **{str(status): each for status, each in operation.more.items()},
        **{
            str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)
        },
    }
