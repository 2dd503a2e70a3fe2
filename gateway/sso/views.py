"""The views of single sign-on: find the identity provider, redirect, and handle its response."""

import hmac
import secrets
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from chassis.clock import Clock
from chassis.observability.log import Logger
from gateway.sso.assertion import Assertion, verify
from gateway.sso.authn_request import authn_request
from gateway.sso.endpoint import Route, SignInContext, SsoEndpoint, redirect
from gateway.sso.forms import EMAIL_FORM, RESPONSE_FORM
from gateway.sso.pending import (
    LIFETIME,
    PendingSignIn,
    PendingSignIns,
    Trial,
    local_path,
)
from gateway.sso.provider import ACS_PATH, IdentityProvider, ServiceProvider
from gateway.sso.refusals import SignInError
from gateway.sso.renderer import PageRenderer
from gateway.sso.services import ServiceClient
from gateway.sso.xml_worker import XmlWorker
from gateway.web.cookies import Cookies, cookie_value
from gateway.web.csrf import is_same_origin
from gateway.web.headers import SECURITY
from gateway.web.page_limits import PageLimiter

LOGIN_PATH: Final = "/login/enterprise/"
METADATA_PATH: Final = f"{LOGIN_PATH}metadata.xml"
DASHBOARD: Final = "/dashboard/"
_RELAY_STATE_BYTES: Final = 24
_METADATA_TYPE: Final = "application/samlmetadata+xml"


class SingleSignOn:
    """Sign-in through an organization's identity provider."""

    def __init__(
        self,
        sp: ServiceProvider,
        services: ServiceClient,
        *,
        pending: PendingSignIns,
        cookies: Cookies,
        renderer: PageRenderer,
        worker: XmlWorker,
        clock: Clock,
    ) -> None:
        self._sp = sp
        self._services = services
        self._pending = pending
        self._cookies = cookies
        self._renderer = renderer
        self._worker = worker
        self._clock = clock
        self._cookie = "__Secure-sign-in" if cookies.secure else f"sign-in{cookies.suffix}"

    async def show_form(self, context: SignInContext) -> web.Response:
        """Ask for the e-mail address, or redirect if the query names an organization."""
        query = context.request.query
        after = local_path(query.get("next", ""))
        organization_id = query.get("organization", "")
        if not organization_id:
            return self._renderer.page("email.html", 200, context.request_id, after=after)
        idp = await self._services.find(organization_id, context.request_id)
        context.organization_id = idp.organization_id
        if query.get("test") == "1":
            return await self._redirect_to_provider(idp, after, await self._trial(context, idp))
        return await self._redirect_to_provider(idp, after)

    async def add_slash(self, context: SignInContext) -> web.Response:
        """Redirect to the path with its slash."""
        query = context.request.rel_url.raw_query_string
        return redirect(LOGIN_PATH + (f"?{query}" if query else ""))

    async def submit_email(self, context: SignInContext) -> web.Response:
        """Redirect to the identity provider for the e-mail address in the form."""
        if not is_same_origin(context.request.headers, context.request.host):
            raise SignInError("bad_form")
        email, after = context.fields
        idp = await self._services.find_by_email(email.strip(), context.request_id)
        context.organization_id = idp.organization_id
        return await self._redirect_to_provider(idp, local_path(after))

    async def metadata(self, _: SignInContext) -> web.Response:
        """The service provider's metadata, as a download for identity providers."""
        disposition = 'attachment; filename="cloudacademy-metadata.xml"'
        return web.Response(
            body=self._sp.metadata(),
            content_type=_METADATA_TYPE,
            headers={**SECURITY, "Content-Disposition": disposition},
        )

    def pending(self, context: SignInContext) -> PendingSignIn:
        """The sign-in that this browser has started. Raises SignInError (no_request)."""
        cookie = cookie_value(context.request.headers, self._cookie)
        pending = self._pending.verify(cookie, self._clock())
        if pending is None:
            raise SignInError("no_request")
        return pending

    async def complete(self, context: SignInContext) -> web.Response:
        """Handle the identity provider's response to this browser's own request."""
        response, relay_state = context.fields
        now = self._clock()
        pending = self.pending(context)
        context.organization_id = pending.organization_id
        if not hmac.compare_digest(pending.relay_state.encode(), relay_state.encode()):
            raise SignInError("other_request")
        idp = await self._services.find(pending.organization_id, context.request_id)
        _check_usable(idp, pending.trial)
        assertion = await self._worker.run(verify, self._sp, idp, response, pending.request_id, now)
        result = await self._finish(context, pending, idp, assertion)
        result.del_cookie(self._cookie, path=ACS_PATH, secure=True, httponly=True, samesite="None")
        return result

    async def refuse_get(self, _: SignInContext) -> web.Response:
        """Refuse a GET of the URL that identity providers post to."""
        raise SignInError("no_request")

    async def _trial(self, context: SignInContext, idp: IdentityProvider) -> Trial:
        token = self._cookies.session(context.request)
        session = await self._services.session(token, context.request_id)
        if not session.administrator or session.organization_id != idp.organization_id:
            raise SignInError("not_administrator")
        return Trial(idp.etag, session.user_id, session.user_name)

    async def _redirect_to_provider(
        self, idp: IdentityProvider, after: str, trial: Trial | None = None
    ) -> web.Response:
        _check_usable(idp, trial)
        relay_state = secrets.token_urlsafe(_RELAY_STATE_BYTES)
        request = await self._worker.run(authn_request, self._sp, idp, relay_state)
        pending = PendingSignIn(
            organization_id=idp.organization_id,
            request_id=request.id,
            relay_state=relay_state,
            after=after,
            expire_time=self._clock() + LIFETIME,
            trial=trial,
        )
        response = redirect(request.url)
        # SameSite=None, because browsers do not send Lax cookies with a POST from another site.
        # It requires Secure, which browsers also accept on loopback without TLS.
        response.set_cookie(
            self._cookie,
            self._pending.sign(pending),
            path=ACS_PATH,
            max_age=int(LIFETIME.total_seconds()),
            secure=True,
            httponly=True,
            samesite="None",
        )
        return response

    async def _finish(
        self,
        context: SignInContext,
        pending: PendingSignIn,
        idp: IdentityProvider,
        assertion: Assertion,
    ) -> web.Response:
        if pending.trial is not None:
            if assertion.missing:
                raise SignInError("missing_claim")
            await self._services.record_test(
                idp.organization_id, pending.trial, context.request.remote or "", context.request_id
            )
            return self._renderer.page("tested.html", 200, context.request_id, after=pending.after)
        # An expired request accepts no assertion, so usersvc need not store the id any longer.
        assertion = assertion.expiring_by(pending.expire_time)
        signed_in = await self._services.sign_in(idp, assertion, context.request_id)
        if signed_in.session.administrator:
            result = redirect(pending.after or DASHBOARD)
        else:
            result = self._renderer.page("signed_in.html", 200, context.request_id)
        self._cookies.set_session(result, signed_in.session_token)
        return result


def _check_usable(idp: IdentityProvider, trial: Trial | None) -> None:
    if not idp.is_set_up:
        raise SignInError("not_set_up")
    if trial is None and not idp.active:
        raise SignInError("not_active")
    if trial is not None and trial.etag != idp.etag:
        raise SignInError("changed_since")


def routes(
    sso: SingleSignOn | None, renderer: PageRenderer, limiter: PageLimiter, log: Logger
) -> Sequence[web.RouteDef]:
    """The routes of single sign-on. Without `sso` they say that it is turned off."""
    all_routes = _routes(sso) if sso else _routes_when_off()
    return [
        web.route(each.method, each.path, SsoEndpoint(each, renderer, limiter, log))
        for each in all_routes
    ]


def _routes(sso: SingleSignOn) -> Sequence[Route]:
    return (
        Route("GET", LOGIN_PATH.rstrip("/"), sso.add_slash),
        Route("GET", LOGIN_PATH, sso.show_form),
        Route("POST", LOGIN_PATH, sso.submit_email, EMAIL_FORM),
        Route("GET", METADATA_PATH, sso.metadata),
        Route("GET", ACS_PATH, sso.refuse_get),
        Route("POST", ACS_PATH, sso.complete, RESPONSE_FORM, before_form=sso.pending),
    )


def _routes_when_off() -> Sequence[Route]:
    async def off(_: SignInContext) -> web.Response:
        raise SignInError("sso_off")

    endpoints = [("GET", LOGIN_PATH.rstrip("/")), ("GET", METADATA_PATH)]
    endpoints += [(method, path) for path in (LOGIN_PATH, ACS_PATH) for method in ("GET", "POST")]
    return [Route(method, path, off) for method, path in endpoints]
