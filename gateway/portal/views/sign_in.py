"""Signing in and out."""

from collections.abc import Sequence
from urllib.parse import quote

from aiohttp import web
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


def routes() -> Sequence[Route]:
    """The routes of signing in and out."""
    return (
        Route("GET", "/login/", sign_in, Access.PUBLIC),
        Route("GET", "/login/link", link, Access.PUBLIC),
        Route("POST", "/login/link", follow_link, Access.PUBLIC),
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


async def follow_link(context: PageContext) -> web.Response:
    """Exchange the token for a session."""
    token = context.fields.get("token", "").strip()
    try:
        signed_in = await context.call(
            context.portal.clients.sessions.SignInWithLink,
            pb.SignInWithLinkRequest(token=token.rpartition("#")[2]),
        )
    except RefusedError as error:
        if error.reason not in _REFUSALS:
            raise
        refusal = _REFUSALS[error.reason]
        return context.page(
            "sign_in_link.html", error.status, title="Sign in with a link", refusal=refusal
        )
    context.session = signed_in.session
    response = context.redirect(HOME)
    context.portal.cookies.set_session(response, signed_in.session_token)
    return response


async def sign_out(context: PageContext) -> web.Response:
    """End the session in usersvc, and delete the cookie."""
    await context.call(
        context.portal.clients.sessions.EndSession,
        pb.EndSessionRequest(session_token=context.portal.cookies.session(context.request)),
    )
    response = context.redirect("/login/")
    context.portal.cookies.clear_session(response)
    return response


def local_path(target: str) -> str:
    """The path to continue to, or an empty string if it could lead to another site."""
    if not target.startswith("/") or target.startswith("//") or "\\" in target:
        return ""
    return target if target.isprintable() else ""
