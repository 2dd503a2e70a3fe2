"""Signing in and out."""

from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote

from aiohttp import web
from cloudacademy.keys.v1.audit_pb2 import AuditEvent
from cloudacademy.users.v1 import sessions_pb2 as pb

from gateway.backend.errors import RefusedError
from gateway.portal.context import Access, PageContext, Route
from gateway.web.cookies import new_form_binding

HOME = "/dashboard/"
_REFUSALS = {
    "SIGN_IN_LINK_INVALID": "This link is no longer valid. Sign-in links work once and expire "
    "after 15 minutes. Request a new link.",
    "USER_INACTIVE": "Your account is disabled. Contact your administrator.",
}
_NOT_RECORDED = (
    "We could not record your sign-in, so you are not signed in. Your link was used and no longer "
    "works. Wait a few minutes, then request a new link."
)


def routes() -> Sequence[Route]:
    """The routes of signing in and out."""
    return (
        Route("GET", "/login/", sign_in, Access.PUBLIC),
        Route("GET", "/login/link", link, Access.PUBLIC),
        Route("POST", "/login/link", show_link, Access.PUBLIC),
        Route("POST", "/login/link/confirm", follow_link, Access.PUBLIC),
        Route("POST", "/logout", sign_out, Access.SIGNED_IN),
    )


async def sign_in(context: PageContext) -> web.Response:
    """The page with the ways to sign in."""
    target = local_path(context.query.get("next", ""))
    enterprise = "/login/enterprise/" + (f"?next={quote(target)}" if target else "")
    return context.page("sign_in.html", title="Sign in", enterprise=enterprise)


async def link(context: PageContext) -> web.Response:
    """The form for the token of a sign-in link.

    The token is in the URL's fragment, which browsers do not send, so no log contains it. A script
    moves it into the form; without scripts the user pastes it.
    """
    context.form_binding = context.form_binding or new_form_binding()
    response = context.page("sign_in_link.html", title="Sign in with a link", refusal="")
    context.portal.cookies.set_form_binding(response, context.form_binding)
    return response


async def show_link(context: PageContext) -> web.Response:
    """Ask for a confirmation. The page names the link's user, and the session that would end.

    The confirmation is needed because any site or message can send a browser to a link.
    """
    token = context.fields.get("token", "").strip().rpartition("#")[2]
    try:
        found = await context.call(
            context.portal.clients.sessions.GetSignInLink, pb.GetSignInLinkRequest(token=token)
        )
    except RefusedError as error:
        if error.reason not in _REFUSALS:
            raise
        return _refused(context, error)
    current = await _browser_session(context)
    names = context.portal.clients.names
    return context.page(
        "sign_in_confirm.html",
        title="Sign in",
        token=token,
        link=found,
        link_organization=await names.find(found.organization_id, context.request_id),
        current=current,
        current_organization=await names.find(current.organization_id, context.request_id)
        if current.organization_id
        else "",
    )


async def follow_link(context: PageContext) -> web.Response:
    """Exchange the token for a session, which replaces the browser's session."""
    current = await _browser_session(context)
    request = pb.SignInWithLinkRequest(token=context.fields.get("token", ""))
    if current.session_id:
        request.replaced_session.organization_id = current.organization_id
        request.replaced_session.session_id = current.session_id
    try:
        signed_in = await context.call(context.portal.clients.sessions.SignInWithLink, request)
    except RefusedError as error:
        if error.reason not in _REFUSALS:
            raise
        return _refused(context, error)
    context.session = signed_in.session
    if context.session.administrator:
        try:
            await context.record(AuditEvent.ACTION_SIGNED_IN_WITH_LINK)
        except RefusedError as error:
            return await _undo_sign_in(context, error, signed_in.session_token)
    response = context.redirect(HOME)
    context.portal.cookies.set_session(response, signed_in.session_token)
    return response


def _refused(context: PageContext, error: RefusedError) -> web.Response:
    refusal = _REFUSALS[error.reason]
    return context.page(
        "sign_in_link.html", error.status, title="Sign in with a link", refusal=refusal
    )


async def _undo_sign_in(
    context: PageContext, error: RefusedError, session_token: str
) -> web.Response:
    """End a new session that could not be recorded in the audit trail. The link no longer works."""
    context.session = pb.Session()
    await context.call(
        context.portal.clients.sessions.EndSession,
        pb.EndSessionRequest(session_token=session_token),
    )
    return context.page(
        "sign_in_link.html", error.status, title="Sign in with a link", refusal=_NOT_RECORDED
    )


async def _browser_session(context: PageContext) -> pb.Session:
    """The session that this browser has, or an empty one."""
    token = context.portal.cookies.session(context.request)
    if not token:
        return pb.Session()
    try:
        response = await context.call(
            context.portal.clients.sessions.GetSession, pb.GetSessionRequest(session_token=token)
        )
    except RefusedError as error:
        if error.reason != "SESSION_ENDED":
            raise
        return pb.Session()
    return response.session


async def sign_out(context: PageContext) -> web.Response:
    """End the session in usersvc, and delete the cookie."""
    await context.call(
        context.portal.clients.sessions.EndSession,
        pb.EndSessionRequest(session_token=context.portal.cookies.session(context.request)),
    )
    if context.session.administrator:
        # A user can sign out even while the audit trail is unavailable.
        with suppress(RefusedError):
            await context.record(AuditEvent.ACTION_SIGNED_OUT)
    response = context.redirect("/login/")
    context.portal.cookies.clear_session(response)
    return response


def local_path(target: str) -> str:
    """The path to continue to, or an empty string if it could lead to another site."""
    if not target.startswith("/") or target.startswith("//") or "\\" in target:
        return ""
    return target if target.isprintable() else ""
