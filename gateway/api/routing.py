"""Maps methods and paths to handlers."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from gateway.api.request import ScimRequest
from gateway.http.responses import ScimResponse
from gateway.scim.errors import ScimError, describe

Handler = Callable[[ScimRequest], Coroutine[Any, Any, ScimResponse]]
Methods = Mapping[str, Handler]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The handlers below a first path segment: alone (collection), and followed by an id (member).

    `actions` are second segments that are not ids, such as `.search`.
    """

    collection: Methods
    member: Methods = field(default_factory=dict)
    actions: Mapping[str, Methods] = field(default_factory=dict)
    public: bool = False

    def methods(self, rest: Sequence[str]) -> Methods:
        """The handlers for the segments after the first; empty if the path does not exist."""
        match rest:
            case []:
                return self.collection
            case [name]:
                return self.actions.get(name, self.member)
            case _:
                return {}


@dataclass(frozen=True, slots=True)
class Match:
    """The handler of a request, and the parts of its path."""

    handler: Handler
    endpoint: str
    resource_id: str
    public: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path template, in which `{id}` is the id of a resource."""

    method: str
    path: str
    public: bool


class MethodNotAllowedError(ScimError):
    """The path exists, but does not support the method (405)."""

    def __init__(self, method: str, methods: Methods) -> None:
        allowed = ", ".join(sorted(methods))
        detail = f"{method} is not supported here; allowed: {allowed}."
        super().__init__(405, None, detail, {"Allow": allowed})


class RouteTable:
    """The endpoints by name."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints

    def routes(self) -> Iterator[Route]:
        """All routes, without HEAD, which every GET route supports."""
        for first, endpoint in self._endpoints.items():
            path = f"/{first}"
            paths = {path: endpoint.collection, f"{path}/{{id}}": endpoint.member}
            paths |= {f"{path}/{name}": methods for name, methods in endpoint.actions.items()}
            for full_path, methods in paths.items():
                for method in methods:
                    yield Route(method, full_path, endpoint.public)

    def match(self, method: str, segments: Sequence[str]) -> Match:
        """The handler for a path below the Tenant URL; GET handlers serve HEAD, too.

        Refuses (404) unknown paths and (405) methods that a path does not support. For HEAD see
        RFC 9110 section 9.3.2.
        """
        first, *rest = segments or [""]
        endpoint = self._endpoints.get(first)
        methods = endpoint.methods(rest) if endpoint is not None else {}
        if endpoint is None or not methods:
            raise _no_such_path(segments)
        handler = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if handler is None:
            raise MethodNotAllowedError(method, methods)
        return Match(handler, first, rest[0] if rest else "", endpoint.public)


def path_segments(path: str) -> list[str]:
    """The decoded segments of a path.

    Double and trailing slashes are ignored, because people type Tenant URLs by hand.
    """
    return [unquote(segment) for segment in path.split("/") if segment]


def _no_such_path(segments: Sequence[str]) -> ScimError:
    return ScimError(
        404,
        None,
        f"There is nothing at {describe('/' + '/'.join(segments))}. The Tenant URL in Entra ends "
        "with /webhooks/ad/v1/scim, followed by /Users, /Groups, /Bulk, /.search, "
        "/Schemas, /ResourceTypes or /ServiceProviderConfig.",
    )
