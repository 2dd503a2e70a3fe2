"""Signing in and out."""

from collections.abc import Sequence
from urllib.parse import quote

from aiohttp import web
from cloudacademy.users.v1 import sessions_pb2 as pb

from gateway.backend.errors import RefusedError
from gateway.portal.visit import Access, Route, Visit
from gateway.web.cookies import new_form_value

HOME = "/dashboard/"
_REFUSALS = {
    "SIGN_IN_LINK_INVALID": "This link does not work: it was used, or it is older than 15 minutes. "
    "Ask for another one.",
    "USER_INACTIVE": "Your account is not active. Ask your administrator.",
}


def routes() -> Sequence[Route]:
    """The pages for those who are not signed in."""
    return (
        Route("GET", "/login/", sign_in, Access.ANYBODY),
        Route("GET", "/login/link", link, Access.ANYBODY),
        Route("POST", "/login/link", follow_link, Access.ANYBODY),
        Route("POST", "/logout", sign_out, Access.SIGNED_IN),
    )


async def sign_in(visit: Visit) -> web.Response:
    """How one signs in."""
    target = local_path(visit.query.get("next", ""))
    enterprise = "/login/enterprise/" + (f"?next={quote(target)}" if target else "")
    return visit.page("sign_in.html", title="Sign in", enterprise=enterprise)


async def link(visit: Visit) -> web.Response:
    """The form that takes a link's token.

    The token comes behind a # and so is in no log; a script moves it into the
    form, or the person does.
    """
    visit.bound_to = visit.bound_to or new_form_value()
    response = visit.page("sign_in_link.html", title="Sign in with a link", refusal="")
    visit.portal.cookies.begin_form(response, visit.bound_to)
    return response


async def follow_link(visit: Visit) -> web.Response:
    """Begin a session."""
    token = visit.fields.get("token", "").strip()
    try:
        signed_in = await visit.call(
            visit.portal.clients.sessions.SignInWithLink,
            pb.SignInWithLinkRequest(token=token.rpartition("#")[2]),
        )
    except RefusedError as error:
        if error.reason not in _REFUSALS:
            raise
        refusal = _REFUSALS[error.reason]
        return visit.page(
            "sign_in_link.html", error.status, title="Sign in with a link", refusal=refusal
        )
    visit.session = signed_in.session
    response = visit.redirect(HOME)
    visit.portal.cookies.begin_session(response, signed_in.session_token)
    return response


async def sign_out(visit: Visit) -> web.Response:
    """End the session, here and in the browser."""
    await visit.call(
        visit.portal.clients.sessions.EndSession,
        pb.EndSessionRequest(session_token=visit.portal.cookies.session(visit.request)),
    )
    response = visit.redirect("/login/")
    visit.portal.cookies.end_session(response)
    return response


def local_path(target: str) -> str:
    """A path of ours to go on to; nothing if it might lead elsewhere."""
    if not target.startswith("/") or target.startswith("//") or "\\" in target:
        return ""
    return target if target.isprintable() else ""
