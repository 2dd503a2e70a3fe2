"""Handles the requests of all pages: limits, sign-in, the CSRF check, a log line, error pages."""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from aiohttp import web
from cloudacademy.users.v1 import sessions_pb2 as pb

from chassis.observability.log import Logger
from gateway.backend.errors import RefusedError
from gateway.http.body import BodyReservation, BodyTooLargeError, IncompleteBodyError, receive
from gateway.limits.rejections import RejectedError
from gateway.portal import problems
from gateway.portal.context import Access, PageContext, Portal, Route
from gateway.portal.problems import Problem, ProblemError
from gateway.web.csrf import CSRF_FIELD, MAX_FORM_BYTES, is_form, is_same_origin, parse_form
from gateway.web.headers import SECURITY
from gateway.web.page_limits import Client, PageLimiter

SIGN_IN: Final = "/login/"
SESSION_ENDED: Final = "SESSION_ENDED"


class PortalEndpoint:
    """Handles the requests of one route of the portal."""

    def __init__(self, portal: Portal, route: Route, limiter: PageLimiter, log: Logger) -> None:
        self._portal = portal
        self._route = route
        self._limiter = limiter
        self._log = log

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Call the view. Errors become error pages."""
        started = time.perf_counter()
        context = PageContext(self._portal, request, uuid4().hex)
        try:
            response = await self._respond(context)
        except RejectedError as error:  # not logged: that would add to the load
            response = problem_page(context, problems.of_rejection(error), error.headers)
        else:
            self._log_request(context, response.status, started)
        if not response.prepared:
            response.headers["X-Request-Id"] = context.request_id
        return response

    async def _respond(self, context: PageContext) -> web.StreamResponse:
        try:
            return await self._handle(context)
        except RejectedError:
            raise
        except ProblemError as error:
            return problem_page(context, error.problem)
        except RefusedError as error:
            if error.reason == SESSION_ENDED:
                return self._to_sign_in(context)
            return problem_page(context, problems.of_refusal(error), _retry_after(error))
        except web.HTTPException as error:
            return problem_page(context, problems.of_status(error.status))
        except Exception as fault:  # noqa: BLE001 - the outermost handler
            self._log.error("internal error", request_id=context.request_id, exc_info=fault)
            return problem_page(context, problems.INTERNAL_ERROR)

    async def _handle(self, context: PageContext) -> web.StreamResponse:
        client = await self._identify(context)
        if self._route.access is not Access.PUBLIC and not context.session.user_id:
            return self._to_sign_in(context)
        if self._route.method != "POST":
            return await self._call_view(context, client)
        with self._limiter.body(client) as reservation:
            # Without a slot, because a form may arrive slowly.
            await self._check_form(context, reservation)
            return await self._call_view(context, client)

    async def _call_view(self, context: PageContext, client: Client) -> web.StreamResponse:
        if self._route.access is Access.ADMINISTRATORS and not context.session.administrator:
            return context.page("not_administrator.html", 403, title="For administrators")
        async with self._limiter.slot(client, for_file=self._route.is_file):
            return await self._route.view(context)

    async def _identify(self, context: PageContext) -> Client:
        """Read the session on every request, so that disabled users lose access at once."""
        cookies, address = self._portal.cookies, context.request.remote or ""
        if self._route.access is Access.PUBLIC:
            context.form_binding = cookies.form_binding(context.request)
            return self._limiter.admit(address)
        token = cookies.session(context.request)
        client = self._limiter.admit(address, token)
        if not token:
            return client
        context.session, context.form_binding = await self._session(context, token, client), token
        context.organization_name = await self._portal.clients.names.find(
            context.organization_id, context.request_id
        )
        return self._limiter.signed_in(token, context.session.organization_id, client)

    async def _session(self, context: PageContext, token: str, client: Client) -> pb.Session:
        request = pb.GetSessionRequest(session_token=token)
        try:
            async with self._limiter.slot(client):
                response = await context.call(self._portal.clients.sessions.GetSession, request)
        except RefusedError as error:
            if error.reason == SESSION_ENDED:
                self._limiter.signed_out(token)
            raise
        return response.session

    async def _check_form(self, context: PageContext, reservation: BodyReservation) -> None:
        request = context.request
        # Our forms have no file uploads, so multipart bodies are refused unparsed.
        if not (is_form(request.headers) and is_same_origin(request.headers, request.host)):
            raise ProblemError(problems.INVALID_FORM)
        fields = await _fields(request, reservation)
        if not self._portal.form_tokens.verify(fields.get(CSRF_FIELD, ""), context.form_binding):
            raise ProblemError(problems.INVALID_FORM)
        context.fields = fields

    def _to_sign_in(self, context: PageContext) -> web.Response:
        request = context.request
        if request.headers.get("X-Requested-With"):
            return web.Response(status=401, headers=SECURITY)
        query = f"?next={quote(request.path_qs)}" if request.method == "GET" else ""
        response = context.redirect(SIGN_IN + query)
        if self._portal.cookies.session(request):
            self._portal.cookies.clear_session(response)
        return response

    def _log_request(self, context: PageContext, status: int, started: float) -> None:
        # The route's template instead of the path or query, which may contain names.
        self._log.info(
            "request",
            method=context.request.method,
            endpoint=self._route.path,
            status=status,
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
            request_id=context.request_id,
            organization_id=context.session.organization_id,
            user_id=context.session.user_id,
        )


def problem_page(
    context: PageContext, problem: Problem, headers: Mapping[str, str] | None = None
) -> web.Response:
    """An error page."""
    page = context.page("problem.html", problem.status, title=problem.title, problem=problem)
    page.headers.update(headers or {})
    return page


async def _fields(request: web.Request, reservation: BodyReservation) -> Mapping[str, str]:
    try:
        return parse_form(await receive(request, reservation, MAX_FORM_BYTES))
    except BodyTooLargeError:
        raise ProblemError(problems.FORM_TOO_LARGE) from None
    except IncompleteBodyError:
        raise ProblemError(problems.INCOMPLETE_FORM) from None
    except ValueError:  # not a form, despite its Content-Type
        raise ProblemError(problems.INVALID_FORM) from None


def _retry_after(error: RefusedError) -> Mapping[str, str]:
    return {name: value for name, value in error.headers.items() if name == "Retry-After"}
