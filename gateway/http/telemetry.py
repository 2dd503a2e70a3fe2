"""Metrics and spans of requests, by route."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from chassis.observability.metrics import Metrics
from chassis.observability.tracing import Tracing
from gateway.http.streaming import BROKEN_OFF

_NAMES: Final = frozenset(
    {"Users", "Groups", "Bulk", "Me", ".search", "Schemas", "ResourceTypes"}
    | {"ServiceProviderConfig", "healthz", "readyz"}
)
_EVERYTHING: Final = "/{path}"
"""The template of what leads to SCIM, whose paths have templates of their own."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def measure(app: web.Application, prefix: str, metrics: Metrics) -> None:
    """Count and time every request of an application that does not run yet."""
    requests = metrics.requests("http_requests", "Requests over HTTP", "route", "method")

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        began, outcome = requests.begin(), "broken off"
        try:
            response = await handler(request)
            outcome = outcome if BROKEN_OFF in response else str(response.status)
        except web.HTTPException as error:
            outcome = str(error.status)
            raise
        finally:
            method = request.method if request.method in _METHODS else "other"
            requests.end(began, label(request, prefix), method, outcome)
        return response

    app.middlewares.insert(0, counted)


def trace(app: web.Application, prefix: str, tracing: Tracing) -> None:
    """Give every request of an application that does not run yet its span."""

    @web.middleware
    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = f"{request.method} {label(request, prefix)}"
        with tracing.serving(name, request.headers.items()) as span:
            response = await handler(request)
            span.set_attribute("http.response.status_code", response.status)
            return response

    app.middlewares.insert(0, traced)


def label(request: web.Request, prefix: str) -> str:
    """The template of a request's path, whether a page or SCIM answers it."""
    resource = request.match_info.route.resource
    if resource is None or resource.canonical == _EVERYTHING:
        return route(request.path, prefix)
    return resource.canonical


def route(path: str, prefix: str) -> str:
    """The template of a path of SCIM: words of ours only, so that there are few."""
    segments = [part for part in path.removeprefix(prefix).split("/") if part]
    if not segments:
        return "/"
    if segments[0] not in _NAMES or len(segments) > 2:
        return "other"
    if len(segments) == 1:
        return f"/{segments[0]}"
    return f"/{segments[0]}/{'.search' if segments[1] == '.search' else '{id}'}"
