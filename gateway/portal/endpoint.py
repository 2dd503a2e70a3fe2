"""What surrounds every page: who asks, whether the form is ours, one log line, an error page."""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from aiohttp import web
from cloudacademy.users.v1 import sessions_pb2 as pb

from chassis.observability.log import Logger
from gateway.backend.errors import RefusedError
from gateway.http.body import BodyLostError, BodyTooLargeError, Holder, receive
from gateway.limits.rejections import RejectedError
from gateway.portal import problems
from gateway.portal.problems import Problem, ProblemError
from gateway.portal.visit import Access, Portal, Route, Visit
from gateway.web.csrf import FIELD, MAX_FORM_BYTES, is_form, is_from_here, parsed
from gateway.web.headers import SECURITY
from gateway.web.page_limits import Client, PageLimiter

SIGN_IN: Final = "/login/"
SESSION_ENDED: Final = "SESSION_ENDED"


class PortalEndpoint:
    """Answers one route of the portal."""

    def __init__(self, portal: Portal, route: Route, gate: PageLimiter, log: Logger) -> None:
        self._portal = portal
        self._route = route
        self._gate = gate
        self._log = log

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Let the view answer; turn what it refuses into a page."""
        started = time.perf_counter()
        visit = Visit(self._portal, request, uuid4().hex)
        try:
            response = await self._respond(visit)
        except RejectedError as error:  # a line for each would be a load, too
            response = problem_page(visit, problems.of_turned_away(error), error.headers)
        else:
            self._tell(visit, response.status, started)
        if not response.prepared:
            response.headers["X-Request-Id"] = visit.request_id
        return response

    async def _respond(self, visit: Visit) -> web.StreamResponse:
        try:
            return await self._answer(visit)
        except RejectedError:
            raise
        except ProblemError as error:
            return problem_page(visit, error.problem)
        except RefusedError as error:
            if error.reason == SESSION_ENDED:
                return self._to_sign_in(visit)
            return problem_page(visit, problems.of_refusal(error), _retry_after(error))
        except web.HTTPException as error:
            return problem_page(visit, problems.of_status(error.status))
        except Exception as fault:  # noqa: BLE001 - the outermost handler
            self._log.error("internal error", request_id=visit.request_id, exc_info=fault)
            return problem_page(visit, problems.FAULT)

    async def _answer(self, visit: Visit) -> web.StreamResponse:
        visitor = await self._recognize(visit)
        if self._route.access is not Access.ANYBODY and not visit.session.user_id:
            return self._to_sign_in(visit)
        if self._route.method != "POST":
            return await self._show(visit, visitor)
        with self._gate.body(visitor) as hold:
            await self._check_form(visit, hold)  # for which nobody keeps a place
            return await self._show(visit, visitor)

    async def _show(self, visit: Visit, visitor: Client) -> web.StreamResponse:
        if self._route.access is Access.ADMINISTRATORS and not visit.session.administrator:
            return visit.page("not_administrator.html", 403, title="For administrators")
        async with self._gate.place(visitor, for_file=self._route.is_file):
            return await self._route.view(visit)

    async def _recognize(self, visit: Visit) -> Client:
        """Ask who it is, each time: somebody who was disabled is out with the next page."""
        cookies, address = self._portal.cookies, visit.request.remote or ""
        if self._route.access is Access.ANYBODY:
            visit.bound_to = cookies.form(visit.request)
            return self._gate.admit(address)
        token = cookies.session(visit.request)
        visitor = self._gate.admit(address, token)
        if not token:
            return visitor
        visit.session, visit.bound_to = await self._session(visit, token, visitor), token
        return self._gate.signed_in(token, visit.session.organization_id, visitor)

    async def _session(self, visit: Visit, token: str, visitor: Client) -> pb.Session:
        request = pb.GetSessionRequest(session_token=token)
        try:
            async with self._gate.place(visitor):
                response = await visit.call(self._portal.clients.sessions.GetSession, request)
        except RefusedError as error:
            if error.reason == SESSION_ENDED:
                self._gate.signed_out(token)
            raise
        return response.session

    async def _check_form(self, visit: Visit, hold: Holder) -> None:
        request = visit.request
        # Our forms have no files, so nothing needs the parser of those.
        if not (is_form(request.headers) and is_from_here(request.headers, request.host)):
            raise ProblemError(problems.FORGED)
        fields = await _fields(request, hold)
        if not self._portal.forms.accepts(fields.get(FIELD, ""), visit.bound_to):
            raise ProblemError(problems.FORGED)
        visit.fields = fields

    def _to_sign_in(self, visit: Visit) -> web.Response:
        request = visit.request
        if request.headers.get("X-Requested-With"):
            return web.Response(status=401, headers=SECURITY)
        where = f"?next={quote(request.path_qs)}" if request.method == "GET" else ""
        response = visit.redirect(SIGN_IN + where)
        if self._portal.cookies.session(request):
            self._portal.cookies.end_session(response)
        return response

    def _tell(self, visit: Visit, status: int, started: float) -> None:
        # The route's own words only: a path or a query may hold names.
        self._log.info(
            "request",
            method=visit.request.method,
            endpoint=self._route.path,
            status=status,
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
            request_id=visit.request_id,
            organization_id=visit.session.organization_id,
            user_id=visit.session.user_id,
        )


def problem_page(
    visit: Visit, problem: Problem, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The page that says what kept another from being shown."""
    page = visit.page("problem.html", problem.status, title=problem.title, problem=problem)
    page.headers.update(headers or {})
    return page


async def _fields(request: web.Request, hold: Holder) -> Mapping[str, str]:
    try:
        return parsed(await receive(request, hold, MAX_FORM_BYTES))
    except BodyTooLargeError:
        raise ProblemError(problems.TOO_LARGE) from None
    except BodyLostError:
        raise ProblemError(problems.LOST) from None
    except ValueError:  # no form, whatever it calls itself
        raise ProblemError(problems.FORGED) from None


def _retry_after(error: RefusedError) -> Mapping[str, str]:
    return {name: value for name, value in error.headers.items() if name == "Retry-After"}
