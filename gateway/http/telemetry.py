"""Metrics and spans of HTTP requests, by route."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from chassis.observability.metrics import Metrics
from chassis.observability.tracing import Tracing
from gateway.http.streaming import ABORT_REASON

_NAMES: Final = frozenset(
    {"Users", "Groups", "Bulk", "Me", ".search", "Schemas", "ResourceTypes"}
    | {"ServiceProviderConfig", "healthz", "readyz"}
)
_CATCH_ALL: Final = "/{path}"
"""The path template of the SCIM endpoint, whose paths have templates of their own."""
OTHER_METHOD: Final = "_OTHER"
"""The name of an unknown method (OpenTelemetry semantic conventions)."""
ABORTED: Final = "aborted"
"""The error type of a response that was not sent completely."""
FIRST_SERVER_ERROR: Final = 500
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def measure(app: web.Application, prefix: str, metrics: Metrics) -> None:
    """Count and time every request; call this before the application runs."""
    requests = metrics.requests(
        "http_server_request_duration_seconds",
        "http_server_active_requests",
        "HTTP requests",
        "http_request_method",
        "http_route",
        "http_response_status_code",
        "error_type",
    )

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        began, status, is_aborted = requests.begin(), 0, True
        try:
            response = await handler(request)
            status, is_aborted = response.status, ABORT_REASON in response
        except web.HTTPException as error:
            status, is_aborted = error.status, False
            raise
        finally:
            code = str(status or "")
            requests.end(
                began,
                _method(request),
                label(request, prefix),
                code,
                ABORTED if is_aborted else code if status >= FIRST_SERVER_ERROR else "",
            )
        return response

    app.middlewares.insert(0, counted)


def trace(app: web.Application, prefix: str, tracing: Tracing) -> None:
    """Create a span for every request; call this before the application runs."""

    @web.middleware
    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        method, template = _method(request), label(request, prefix)
        name = f"{'HTTP' if method == OTHER_METHOD else method} {template}".rstrip()
        attributes = {"http.request.method": method}
        if template:
            attributes["http.route"] = template
        with tracing.server_span(name, request.headers.items(), attributes) as span:
            response = await handler(request)
            span.set_attribute("http.response.status_code", response.status)
            if response.status >= FIRST_SERVER_ERROR:
                tracing.fail(span, str(response.status))
            return response

    app.middlewares.insert(0, traced)


def _method(request: web.Request) -> str:
    return request.method if request.method in _METHODS else OTHER_METHOD


def label(request: web.Request, prefix: str) -> str:
    """The path template of a page or of the SCIM endpoint; empty if no route matches."""
    resource = request.match_info.route.resource
    if resource is None or resource.canonical == _CATCH_ALL:
        return route(request.path, prefix)
    return resource.canonical


def route(path: str, prefix: str) -> str:
    """The template of a SCIM path, or an empty string: unknown paths must not add label values."""
    segments = [part for part in path.removeprefix(prefix).split("/") if part]
    if not segments:
        return "/"
    if segments[0] not in _NAMES or len(segments) > 2:
        return ""
    if len(segments) == 1:
        return f"/{segments[0]}"
    return f"/{segments[0]}/{'.search' if segments[1] == '.search' else '{id}'}"
