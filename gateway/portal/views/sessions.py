"""The sessions of the organization's people, and ending them."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web
from cloudacademy.keys.v1.audit_pb2 import AuditEvent
from cloudacademy.users.v1 import sessions_pb2 as pb

from gateway.portal.context import PageContext, Route
from gateway.portal.models.session_rows import session_rows

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
    """End one session."""
    request = pb.EndSessionsRequest(session_id=context.fields.get("session_id", ""))
    return await _end(context, request, "one")


async def end_user(context: PageContext) -> web.Response:
    """End all sessions and sign-in links of a person."""
    request = pb.EndSessionsRequest(user_id=context.fields.get("user_id", ""))
    return await _end(context, request, "user")


async def end_all(context: PageContext) -> web.Response:
    """End all sessions and sign-in links of the organization, including this one."""
    return await _end(context, pb.EndSessionsRequest(all=True), "all")


async def _end(context: PageContext, request: pb.EndSessionsRequest, done: str) -> web.Response:
    request.organization_id = context.organization_id
    # Record first, so that no session ends without a record. A retry after the end would find no
    # session to record.
    await context.record(AuditEvent.ACTION_SESSIONS_ENDED, await _user_of(context, request))
    response = await context.call(context.portal.clients.sessions.EndSessions, request)
    if any(each.session_id == context.session.session_id for each in response.sessions):
        ended = context.redirect("/login/")
        context.portal.cookies.clear_session(ended)
        return ended
    return context.redirect(f"{SESSIONS}?done={done}")


async def _user_of(context: PageContext, request: pb.EndSessionsRequest) -> str:
    """The user whose sessions are to end; empty for all users, or if the session has ended."""
    if not request.session_id:
        return request.user_id
    response = await context.call(
        context.portal.clients.sessions.ListSessions,
        pb.ListSessionsRequest(organization_id=context.organization_id, page_size=1_000),
    )
    users = (each.user_id for each in response.sessions if each.session_id == request.session_id)
    return next(users, "")
