"""Handles the requests of single sign-on: limits, the form, a log line, error pages."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from aiohttp import web

from chassis.observability.log import Logger
from gateway.limits.rejections import RejectedError
from gateway.sso.forms import Form, check_headers, read_form
from gateway.sso.refusals import EXPLANATIONS, Explanation, SignInError
from gateway.sso.renderer import PageRenderer
from gateway.web.headers import SECURITY
from gateway.web.page_limits import Client, PageLimiter

_INTERNAL_ERROR: Final = Explanation(
    500,
    "Something went wrong on our side.",
    "Sign in again. If it happens again, contact Cloud Academy support and include the request ID.",
)


@dataclass(slots=True)
class SignInContext:
    """One request of single sign-on, with the fields of its log line."""

    request: web.Request
    request_id: str
    organization_id: str = ""
    reason: str = ""
    fields: Sequence[str] = ()
    """The values of the form fields, in the order of `Form.names`."""


View = Callable[[SignInContext], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """A route of single sign-on: its view, and the form that it accepts."""

    method: str
    path: str
    view: View
    form: Form | None = None
    before_form: Callable[[SignInContext], object] | None = None
    """Called before the body is read. Raises SignInError to refuse the request by its headers."""


class SsoEndpoint:
    """Handles the requests of one route."""

    def __init__(
        self, route: Route, renderer: PageRenderer, limiter: PageLimiter, log: Logger
    ) -> None:
        self._route = route
        self._renderer = renderer
        self._limiter = limiter
        self._log = log

    async def __call__(self, request: web.Request) -> web.Response:
        """Call the view. Errors become error pages."""
        started = time.perf_counter()
        context = SignInContext(request, uuid4().hex)
        try:
            response = await self._handle(context)
        except RejectedError as error:  # not logged: that would add to the load
            context.reason = "busy" if error.status == EXPLANATIONS["busy"].status else "too_many"
            response = self._error_page(context, EXPLANATIONS[context.reason])
            response.headers.update(error.headers)
        else:
            self._log_request(context, response.status, started)
        response.headers["X-Request-Id"] = context.request_id
        return response

    async def _handle(self, context: SignInContext) -> web.Response:
        try:
            return await self._handle_admitted(
                context, self._limiter.admit(context.request.remote or "")
            )
        except RejectedError:
            raise
        except SignInError as error:
            context.reason = error.reason
            return self._error_page(context, error.explanation)
        except Exception as fault:  # noqa: BLE001 - the outermost handler
            context.reason = "internal_error"
            self._log.error("internal error", request_id=context.request_id, exc_info=fault)
            return self._error_page(context, _INTERNAL_ERROR)

    async def _handle_admitted(self, context: SignInContext, client: Client) -> web.Response:
        if self._route.form is None:
            return await self._call_view(context, client)
        check_headers(context.request, self._route.form)
        if self._route.before_form is not None:
            self._route.before_form(context)
        with self._limiter.body(client) as reservation:
            context.fields = await read_form(context.request, reservation, self._route.form)
            return await self._call_view(context, client)

    async def _call_view(self, context: SignInContext, client: Client) -> web.Response:
        async with self._limiter.slot(client):
            return await self._route.view(context)

    def _log_request(self, context: SignInContext, status: int, started: float) -> None:
        # Neither the form nor the query, which contain names and assertions.
        self._log.info(
            "request",
            method=context.request.method,
            endpoint=self._route.path,
            status=status,
            reason=context.reason,
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
            request_id=context.request_id,
            organization_id=context.organization_id,
        )

    def _error_page(self, context: SignInContext, explanation: Explanation) -> web.Response:
        return self._renderer.page(
            "refused.html",
            explanation.status,
            context.request_id,
            explanation=explanation,
            reason=context.reason,
        )


def redirect(location: str) -> web.Response:
    """Redirect with 303, so that the browser uses GET (RFC 9110 section 15.4.4)."""
    return web.Response(status=303, headers={**SECURITY, "Location": location})
