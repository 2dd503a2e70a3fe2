"""Which path and method lead where."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from gateway.api.request import ScimRequest
from gateway.http.responses import ScimResponse
from gateway.scim.errors import ScimError, shown

Handler = Callable[[ScimRequest], Coroutine[Any, Any, ScimResponse]]
Methods = Mapping[str, Handler]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A first segment of the path: what it answers by itself and with an id behind it.

    `actions` are second segments that are no ids, such as `.search`.
    """

    collection: Methods
    member: Methods = field(default_factory=dict)
    actions: Mapping[str, Methods] = field(default_factory=dict)
    public: bool = False

    def methods(self, rest: Sequence[str]) -> Methods:
        """What is answered to the segments behind the first; nothing if there is nothing."""
        match rest:
            case []:
                return self.collection
            case [name]:
                return self.actions.get(name, self.member)
            case _:
                return {}


@dataclass(frozen=True, slots=True)
class Match:
    """Where a request leads."""

    handler: Handler
    endpoint: str
    resource_id: str
    public: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A method of a path, in which `{id}` stands for the id of a resource."""

    method: str
    path: str
    public: bool


class MethodNotAllowedError(ScimError):
    """A path that exists, asked with a method that it does not know."""

    def __init__(self, method: str, methods: Methods) -> None:
        allowed = ", ".join(sorted(methods))
        detail = f"{method} is not possible here; allowed: {allowed}."
        super().__init__(405, None, detail, {"Allow": allowed})


class Table:
    """The endpoints by their names."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints

    def routes(self) -> Iterator[Route]:
        """Everything that can be asked; HEAD goes without saying where GET is."""
        for first, endpoint in self._endpoints.items():
            path = f"/{first}"
            places = {path: endpoint.collection, f"{path}/{{id}}": endpoint.member}
            places |= {f"{path}/{name}": methods for name, methods in endpoint.actions.items()}
            for place, methods in places.items():
                for method in methods:
                    yield Route(method, place, endpoint.public)

    def match(self, method: str, segments: Sequence[str]) -> Match:
        """Where the segments of a path below the Tenant URL lead.

        Refuses (404) paths and (405) methods that do not exist. HEAD is asked
        wherever GET is (RFC 9110 section 9.3.2).
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
    """The segments of a path as it was sent.

    Slashes that are doubled or trail are no mistake: Tenant URLs are typed by
    people.
    """
    return [unquote(segment) for segment in path.split("/") if segment]


def _no_such_path(segments: Sequence[str]) -> ScimError:
    return ScimError(
        404,
        None,
        f"There is nothing at {shown('/' + '/'.join(segments))}. The Tenant URL in Entra ends "
        "with /webhooks/ad/v1/scim; what follows is /Users, /Groups, /Bulk, /.search, "
        "/Schemas, /ResourceTypes or /ServiceProviderConfig.",
    )
