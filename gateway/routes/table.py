"""Which path and method lead where."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.exchange import Answer, Exchange
from gateway.routes import discovery
from gateway.routes.users import Users
from gateway.scim.errors import ScimError

Handler = Callable[[Exchange], Awaitable[Answer]]
Methods = Mapping[str, Handler]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A first segment of the path: what it answers by itself and with an id behind it."""

    collection: Methods
    member: Methods
    public: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Where a request leads."""

    handler: Handler
    resource_id: str
    public: bool


class MethodNotAllowedError(ScimError):
    """A path that exists, asked with a method that it does not know."""

    def __init__(self, method: str, methods: Methods) -> None:
        allowed = ", ".join(sorted(methods))
        super().__init__(405, None, f"{method} is not possible here; allowed: {allowed}.")
        self.headers: Mapping[str, str] = {"Allow": allowed}


class Table:
    """The endpoints by their names."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints

    def match(self, method: str, path: str) -> Match:
        """Where a path below the Tenant URL leads.

        Slashes that are doubled or trail are no mistake: Tenant URLs are typed
        by people. Refuses (404) paths and (405) methods that do not exist.
        """
        segments = [unquote(segment) for segment in path.split("/") if segment]
        endpoint = self._endpoints.get(segments[0]) if segments else None
        if endpoint is None or len(segments) > 2:
            raise _no_such_path(path)
        methods = endpoint.member if len(segments) == 2 else endpoint.collection
        if not methods:
            raise _no_such_path(path)
        handler = methods.get(method)
        if handler is None:
            raise MethodNotAllowedError(method, methods)
        resource_id = segments[1] if len(segments) == 2 else ""
        return Match(handler, resource_id, endpoint.public)


def table(users: Users, base_url: str) -> Table:
    """All endpoints of the service."""
    schemas = discovery.schemas(base_url)
    resource_types = discovery.resource_types(base_url)
    return Table(
        {
            "Users": Endpoint(
                collection={"GET": users.query, "POST": users.create},
                member={
                    "GET": users.get,
                    "PUT": users.replace,
                    "PATCH": users.patch,
                    "DELETE": users.delete,
                },
            ),
            "ServiceProviderConfig": Endpoint(
                collection={"GET": discovery.service_provider_config}, member={}, public=True
            ),
            "Schemas": Endpoint({"GET": schemas.list}, {"GET": schemas.get}),
            "ResourceTypes": Endpoint({"GET": resource_types.list}, {"GET": resource_types.get}),
        }
    )


def _no_such_path(path: str) -> ScimError:
    return ScimError(
        404,
        None,
        f"There is nothing at {path[:80] or '/'}. The Tenant URL in Entra ends with "
        "/webhooks/ad/v1/scim; what follows is /Users, /Schemas, /ResourceTypes or "
        "/ServiceProviderConfig.",
    )
