"""Maps methods and paths to handlers."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from gateway.api.request import ScimRequest
from gateway.http.responses import ScimResponse
from gateway.scim.errors import ScimError, describe

Handler = Callable[[ScimRequest], Coroutine[Any, Any, ScimResponse]]
Methods = Mapping[str, Handler]
_MAX_SEARCHED: Final = 5
"""How many segments of an unknown path are searched for an endpoint."""
_MAX_NAME: Final = 100


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
        # GET handlers serve HEAD, too.
        allowed = ", ".join(sorted({*methods, *(("HEAD",) if "GET" in methods else ())}))
        detail = f"{method} is not supported here; allowed: {allowed}."
        super().__init__(405, None, detail, {"Allow": allowed})


class RouteTable:
    """The endpoints by name."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints
        self._names = {_spelling(name): name for name in endpoints if name}

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
            raise self._no_such_path(segments)
        handler = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        if handler is None:
            raise MethodNotAllowedError(method, methods)
        return Match(handler, first, rest[0] if rest else "", endpoint.public)

    def _no_such_path(self, segments: Sequence[str]) -> ScimError:
        """The error for an unknown path. It names the path that the client probably means."""
        endpoint = self._endpoints.get(segments[0])
        if endpoint is not None and not endpoint.member:
            advice = f"/{segments[0]} has no resources below it; omit what follows."
        elif endpoint is not None:
            advice = (
                f"The path continues after the id with {describe(segments[2])}. If that is part of "
                "the id, send the slash before it encoded, as %2F."
            )
        elif meant := self._meant(segments):
            advice = (
                f"Send {describe(meant)}, directly after the Tenant URL; upper and lower case make "
                "a difference."
            )
        else:
            names = ", ".join(f"/{name}" for name in self._names.values() if name != "Me")
            advice = f"The Tenant URL ends with /webhooks/ad/v1/scim, followed by one of {names}."
        return ScimError(
            404, None, f"There is nothing at {describe('/' + '/'.join(segments))}. {advice}"
        )

    def _meant(self, segments: Sequence[str]) -> str:
        """The path from the first segment that is an endpoint in another spelling; else empty."""
        for index, segment in enumerate(segments[:_MAX_SEARCHED]):
            if name := self._names.get(_spelling(segment)):
                return "/" + "/".join([name, *segments[index + 1 :]])
        return ""


def path_segments(path: str) -> list[str]:
    """The decoded segments of a path.

    Double and trailing slashes are ignored, because people type Tenant URLs by hand.
    """
    return [unquote(segment) for segment in path.split("/") if segment]


def _spelling(name: str) -> str:
    """A name as it is compared with a mistyped one: without regard to case and to a final s."""
    return name[:_MAX_NAME].lower().removesuffix("s")
