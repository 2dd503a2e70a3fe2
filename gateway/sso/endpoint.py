"""What surrounds every context of a sign-in: one log line, and a page for whatever is refused."""

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

_FAULT: Final = Explanation(
    500,
    "Cloud Academy failed to answer.",
    "Begin the sign-in anew. If it happens again, tell Cloud Academy's support the request id.",
)


@dataclass(slots=True)
class SignInContext:
    """One request of a sign-in, and what its log line will tell."""

    request: web.Request
    request_id: str
    organization_id: str = ""
    reason: str = ""
    fields: Sequence[str] = ()
    """Those of its form, as `Form` names them."""


View = Callable[[SignInContext], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """An address of single sign-on: what answers there, and the form that it takes."""

    method: str
    path: str
    view: View
    form: Form | None = None
    before_form: Callable[[SignInContext], object] | None = None
    """Refuses (SignInError) a request by its headers, before its body is read."""


class SsoEndpoint:
    """Answers one route."""

    def __init__(
        self, route: Route, renderer: PageRenderer, limiter: PageLimiter, log: Logger
    ) -> None:
        self._route = route
        self._renderer = renderer
        self._limiter = limiter
        self._log = log

    async def __call__(self, request: web.Request) -> web.Response:
        """Let the view answer; turn what it refuses into a page."""
        started = time.perf_counter()
        context = SignInContext(request, uuid4().hex)
        try:
            response = await self._answer(context)
        except RejectedError as error:  # a line for each would be a load, too
            context.reason = "busy" if error.status == EXPLANATIONS["busy"].status else "too_many"
            response = self._refused(context, EXPLANATIONS[context.reason])
            response.headers.update(error.headers)
        else:
            self._tell(context, response.status, started)
        response.headers["X-Request-Id"] = context.request_id
        return response

    async def _answer(self, context: SignInContext) -> web.Response:
        try:
            return await self._seen(context, self._limiter.admit(context.request.remote or ""))
        except RejectedError:
            raise
        except SignInError as error:
            context.reason = error.reason
            return self._refused(context, error.explanation)
        except Exception as fault:  # noqa: BLE001 - the outermost handler
            context.reason = "internal_error"
            self._log.error("internal error", request_id=context.request_id, exc_info=fault)
            return self._refused(context, _FAULT)

    async def _seen(self, context: SignInContext, client: Client) -> web.Response:
        if self._route.form is None:
            return await self._in_place(context, client)
        check_headers(context.request, self._route.form)
        if self._route.before_form is not None:
            self._route.before_form(context)
        with self._limiter.body(client) as hold:
            context.fields = await read_form(context.request, hold, self._route.form)
            return await self._in_place(context, client)

    async def _in_place(self, context: SignInContext, client: Client) -> web.Response:
        async with self._limiter.slot(client):
            return await self._route.view(context)

    def _tell(self, context: SignInContext, status: int, started: float) -> None:
        # Neither the form nor the query: they hold names, even assertions.
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

    def _refused(self, context: SignInContext, explanation: Explanation) -> web.Response:
        return self._renderer.page(
            "refused.html",
            explanation.status,
            context.request_id,
            explanation=explanation,
            reason=context.reason,
        )


def redirect(location: str) -> web.Response:
    """Go on elsewhere with GET (RFC 9110 section 15.4.4)."""
    return web.Response(status=303, headers={**SECURITY, "Location": location})
