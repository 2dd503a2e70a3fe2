"""What surrounds every step of a sign-in: one log line, and a page for whatever is refused."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from aiohttp import web

from chassis.observability.log import Logger
from gateway.limits.rejections import RejectedError
from gateway.sso.forms import Form, check_head, read_form
from gateway.sso.pages import Pages
from gateway.sso.refusals import EXPLANATIONS, Explanation, SignInError
from gateway.web.headers import SECURITY
from gateway.web.page_limits import Client, PageLimiter

_FAULT: Final = Explanation(
    500,
    "Cloud Academy failed to answer.",
    "Begin the sign-in anew. If it happens again, tell Cloud Academy's support the request id.",
)


@dataclass(slots=True)
class Step:
    """One request of a sign-in, and what its log line will tell."""

    request: web.Request
    request_id: str
    organization_id: str = ""
    reason: str = ""
    fields: Sequence[str] = ()
    """Those of its form, as `Form` names them."""


View = Callable[[Step], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """An address of single sign-on: what answers there, and the form that it takes."""

    method: str
    path: str
    view: View
    form: Form | None = None
    before_form: Callable[[Step], object] | None = None
    """Refuses (SignInError) a request by its headers, before its body is read."""


class Endpoint:
    """Answers one route."""

    def __init__(self, route: Route, pages: Pages, gate: PageLimiter, log: Logger) -> None:
        self._route = route
        self._pages = pages
        self._gate = gate
        self._log = log

    async def __call__(self, request: web.Request) -> web.Response:
        """Let the view answer; turn what it refuses into a page."""
        started = time.perf_counter()
        step = Step(request, uuid4().hex)
        try:
            response = await self._answer(step)
        except RejectedError as error:  # a line for each would be a load, too
            step.reason = "busy" if error.status == EXPLANATIONS["busy"].status else "too_many"
            response = self._refused(step, EXPLANATIONS[step.reason])
            response.headers.update(error.headers)
        else:
            self._tell(step, response.status, started)
        response.headers["X-Request-Id"] = step.request_id
        return response

    async def _answer(self, step: Step) -> web.Response:
        try:
            return await self._seen(step, self._gate.admit(step.request.remote or ""))
        except RejectedError:
            raise
        except SignInError as error:
            step.reason = error.reason
            return self._refused(step, error.explanation)
        except Exception as fault:  # noqa: BLE001 - the outermost handler
            step.reason = "internal_error"
            self._log.error("internal error", request_id=step.request_id, exc_info=fault)
            return self._refused(step, _FAULT)

    async def _seen(self, step: Step, visitor: Client) -> web.Response:
        if self._route.form is None:
            return await self._in_place(step, visitor)
        check_head(step.request, self._route.form)
        if self._route.before_form is not None:
            self._route.before_form(step)
        with self._gate.body(visitor) as hold:
            step.fields = await read_form(step.request, hold, self._route.form)
            return await self._in_place(step, visitor)

    async def _in_place(self, step: Step, visitor: Client) -> web.Response:
        async with self._gate.place(visitor):
            return await self._route.view(step)

    def _tell(self, step: Step, status: int, started: float) -> None:
        # Neither the form nor the query: they hold names, even assertions.
        self._log.info(
            "request",
            method=step.request.method,
            endpoint=self._route.path,
            status=status,
            reason=step.reason,
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
            request_id=step.request_id,
            organization_id=step.organization_id,
        )

    def _refused(self, step: Step, explanation: Explanation) -> web.Response:
        return self._pages.page(
            "refused.html",
            explanation.status,
            step.request_id,
            explanation=explanation,
            reason=step.reason,
        )


def redirect(location: str) -> web.Response:
    """Go on elsewhere with GET (RFC 9110 section 15.4.4)."""
    return web.Response(status=303, headers={**SECURITY, "Location": location})
