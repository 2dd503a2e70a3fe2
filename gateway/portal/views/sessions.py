"""The sessions of the organization's people, and ending them."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web
from cloudacademy.keys.v1.audit_pb2 import AuditEvent
from cloudacademy.users.v1 import sessions_pb2 as pb

from chassis.rpc.uuids import is_uuid
from gateway.portal import problems
from gateway.portal.context import PageContext, Route
from gateway.portal.models.session_rows import session_rows
from gateway.portal.problems import ProblemError

SESSIONS: Final = "/settings/sessions/"
MAX_ROWS: Final = 200
_NOTICES: Final = {
    "one": "The session has ended.",
    "user": "All sessions and sign-in links of this person have ended.",
}


def routes() -> Sequence[Route]:
    """The list of sessions, and the forms that end them."""
    return (
        Route("GET", SESSIONS, show),
        Route("POST", f"{SESSIONS}end", end_one),
        Route("POST", f"{SESSIONS}end-user", end_user),
        Route("POST", f"{SESSIONS}end-all", end_all),
    )


async def show(context: PageContext) -> web.Response:
    """The current sessions, newest first."""
    response = await context.call(
        context.portal.clients.sessions.ListSessions,
        pb.ListSessionsRequest(organization_id=context.organization_id, page_size=MAX_ROWS),
    )
    return context.page(
        "sessions.html",
        title="Sessions",
        rows=session_rows(response.sessions, context.session.session_id),
        truncated=response.truncated,
        notice=_NOTICES.get(context.query.get("done", ""), ""),
    )


async def end_one(context: PageContext) -> web.Response:
    """End one session, unless it has ended already."""
    user_id, session_id = _user_id(context), context.fields.get("session_id", "")
    response = await context.call(
        context.portal.clients.sessions.ListSessions,
        pb.ListSessionsRequest(organization_id=context.organization_id, user_id=user_id),
    )
    if all(each.session_id != session_id for each in response.sessions):
        return context.redirect(f"{SESSIONS}?done=one")
    return await _end(context, pb.EndSessionsRequest(session_id=session_id), user_id, "one")


async def end_user(context: PageContext) -> web.Response:
    """End all sessions and sign-in links of a person."""
    user_id = _user_id(context)
    return await _end(context, pb.EndSessionsRequest(user_id=user_id), user_id, "user")


async def end_all(context: PageContext) -> web.Response:
    """End all sessions and sign-in links of the organization, including this one."""
    return await _end(context, pb.EndSessionsRequest(all=True), "", "all")


async def _end(
    context: PageContext, request: pb.EndSessionsRequest, user_id: str, done: str
) -> web.Response:
    request.organization_id = context.organization_id
    # Record first, so that no session ends without a record. A retry after the end would find no
    # session to record.
    await context.record(AuditEvent.ACTION_SESSIONS_ENDED, user_id)
    response = await context.call(context.portal.clients.sessions.EndSessions, request)
    if any(each.session_id == context.session.session_id for each in response.sessions):
        ended = context.redirect("/login/")
        context.portal.cookies.clear_session(ended)
        return ended
    return context.redirect(f"{SESSIONS}?done={done}")


def _user_id(context: PageContext) -> str:
    """The person in the form. Without one, the audit trail would name all people."""
    user_id = context.fields.get("user_id", "")
    if not is_uuid(user_id):
        raise ProblemError(problems.INVALID_FORM)
    return user_id
