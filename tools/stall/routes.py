"""All routes of the gateway, read from the application, so that new ones are attacked as well."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from aiohttp import web

from gateway.api.app import PREFIX, application
from gateway.api.endpoints import endpoints
from gateway.api.groups import Groups
from gateway.api.users import Users
from gateway.openapi.page import page
from gateway.portal.routes import portal_routes
from gateway.sso.views import routes as sign_in_routes

_UNUSED: Final[Any] = None
_WRITES: Final = ("POST", "PUT", "PATCH")


class Kind(Enum):
    """The kind of a route, which decides its input."""

    SCIM = "SCIM"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, in which `{…}` stands for an id."""

    kind: Kind
    method: str
    path: str

    @property
    def takes_body(self) -> bool:
        return self.method in _WRITES

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def all_routes() -> list[Route]:
    """All routes, and some unknown paths."""
    return list(dict.fromkeys((*_scim(), *_pages(), *_unknown_paths())))


def _scim() -> Iterator[Route]:
    resources = {"Users": Users(_UNUSED), "Groups": Groups(_UNUSED)}
    table = endpoints(resources, _UNUSED, _UNUSED, _UNUSED)
    for each in table.routes():
        yield Route(Kind.SCIM, each.method, PREFIX + each.path)


def _pages() -> Iterator[Route]:
    pages = [
        page({}),
        *sign_in_routes(_UNUSED, _UNUSED, _UNUSED, _UNUSED),
        *portal_routes(_UNUSED, _UNUSED, _UNUSED),
    ]
    for each in application(_never, _UNUSED, pages).router.routes():
        resource = each.resource
        if resource is None or each.method == "HEAD" or resource.canonical == "/{path}":
            continue
        for method in ("GET", "POST") if each.method == "*" else (each.method,):
            yield Route(Kind.PAGE, method, resource.canonical)


def _unknown_paths() -> Iterator[Route]:
    """Unknown paths, which the SCIM endpoint answers."""
    for path in ("/nowhere", f"{PREFIX}/Nothing", f"{PREFIX}/Users/{{id}}/more"):
        for method in ("GET", "POST"):
            yield Route(Kind.SCIM, method, path)


async def _never(_: web.Request) -> web.StreamResponse:
    raise NotImplementedError
