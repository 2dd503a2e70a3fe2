"""The views of single sign-on: find the identity provider, redirect, and handle its response."""

import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web
from cloudacademy.users.v1.sessions_pb2 import Session

from chassis.clock import Clock
from chassis.observability.log import Logger
from gateway.sso.assertion import Assertion, verify
from gateway.sso.authn_request import authn_request
from gateway.sso.endpoint import Route, SignInContext, SsoEndpoint, redirect
from gateway.sso.forms import CONFIRMATION_FORM, EMAIL_FORM, RESPONSE_FORM
from gateway.sso.pending import (
    LIFETIME,
    PendingSignIn,
    PendingSignIns,
    ReplacedSession,
    Trial,
    local_path,
)
from gateway.sso.provider import ACS_PATH, IdentityProvider, ServiceProvider
from gateway.sso.refusals import SignInError
from gateway.sso.renderer import PageRenderer
from gateway.sso.services import ServiceClient
from gateway.sso.xml_worker import XmlWorker
from gateway.web.cookies import Cookies, new_form_binding
from gateway.web.csrf import CSRF_FIELD, FormTokens, is_same_origin
from gateway.web.headers import SECURITY
from gateway.web.page_limits import PageLimiter

LOGIN_PATH: Final = "/login/enterprise/"
CONFIRM_PATH: Final = f"{LOGIN_PATH}confirm"
METADATA_PATH: Final = f"{LOGIN_PATH}metadata.xml"
DASHBOARD: Final = "/dashboard/"
_RELAY_STATE_BYTES: Final = 24
_PURPOSE: Final = "sign in"
"""The purpose of form tokens."""
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
        form_tokens: FormTokens,
        renderer: PageRenderer,
        worker: XmlWorker,
        clock: Clock,
    ) -> None:
        self._sp = sp
        self._services = services
        self._pending = pending
        self._cookies = cookies
        self._form_tokens = form_tokens
        self._renderer = renderer
        self._worker = worker
        self._clock = clock

    async def show_form(self, context: SignInContext) -> web.Response:
        """Ask for the e-mail address; or, if the query names an organization, for a confirmation.

        Any site can send a browser here. Without the confirmation, an identity provider that signs
        its users in without a question could replace the browser's session with one of another
        organization.
        """
        query = context.request.query
        after = local_path(query.get("next", ""))
        organization_id = query.get("organization", "")
        if not organization_id:
            return self._form(context, "email.html", after=after)
        idp = await self._services.find(organization_id, context.request_id)
        context.organization_id = idp.organization_id
        is_test = query.get("test") == "1"
        trial = await self._trial(context, idp) if is_test else None
        _check_usable(idp, trial)
        if trial and context.request.headers.get("Sec-Fetch-Site") == "same-origin":
            return await self._redirect_to_provider(idp, after, trial=trial)
        return await self._ask_to_confirm(
            context, idp, await self._session(context), after, is_test=is_test
        )

    async def add_slash(self, context: SignInContext) -> web.Response:
        """Redirect to the path with a slash at the end."""
        query = context.request.rel_url.raw_query_string
        return redirect(LOGIN_PATH + (f"?{query}" if query else ""))

    async def submit_email(self, context: SignInContext) -> web.Response:
        """Redirect to the identity provider for the e-mail address in the form.

        Asks for a confirmation first if the browser has a session of another organization.
        """
        email, after, form_token = context.fields
        self._check_form(context, form_token)
        idp = await self._services.find_by_email(email.strip(), context.request_id)
        context.organization_id = idp.organization_id
        after, current = local_path(after), await self._session(context)
        if current.user_id and current.organization_id != idp.organization_id:
            _check_usable(idp, None)
            return await self._ask_to_confirm(context, idp, current, after, is_test=False)
        return await self._redirect_to_provider(idp, after, replaced=_replaced(current))

    async def confirm(self, context: SignInContext) -> web.Response:
        """Redirect to the identity provider of the confirmed organization.

        Asks again if the browser's session is no longer the one that the page showed.
        """
        organization_id, after, test, replaces, form_token = context.fields
        self._check_form(context, form_token)
        idp = await self._services.find(organization_id, context.request_id)
        context.organization_id = idp.organization_id
        after = local_path(after)
        if test:
            trial = await self._trial(context, idp)
            return await self._redirect_to_provider(idp, after, trial=trial)
        current = await self._session(context)
        if current.session_id not in ("", replaces):
            return await self._ask_to_confirm(context, idp, current, after, is_test=False)
        return await self._redirect_to_provider(idp, after, replaced=_replaced(current))

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
        pending = self._pending.verify(self._cookies.sign_in(context.request), self._clock())
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
        self._cookies.clear_sign_in(result, ACS_PATH)
        return result

    async def refuse_get(self, _: SignInContext) -> web.Response:
        """Refuse a GET of the URL that identity providers post to."""
        raise SignInError("no_request")

    async def _session(self, context: SignInContext) -> Session:
        """The browser's session, or an empty one."""
        token = self._cookies.session(context.request)
        return await self._services.session(token, context.request_id)

    async def _ask_to_confirm(
        self,
        context: SignInContext,
        idp: IdentityProvider,
        current: Session,
        after: str,
        *,
        is_test: bool,
    ) -> web.Response:
        """The page that asks: it names the organization, and the session that would end."""
        name = ""
        if current.organization_id:
            name = await self._services.organization_name(
                current.organization_id, context.request_id
            )
        return self._form(
            context,
            "confirm.html",
            idp=idp,
            current=current,
            current_organization=name,
            is_other_organization=current.organization_id != idp.organization_id,
            after=after,
            test=is_test,
        )

    def _form(self, context: SignInContext, template: str, **values: Any) -> web.Response:  # noqa: ANN401
        """A page with a form, bound to this browser by a cookie."""
        binding = self._cookies.form_binding(context.request) or new_form_binding()
        response = self._renderer.page(
            template,
            200,
            context.request_id,
            form_field=CSRF_FIELD,
            form_token=self._form_tokens.create(binding, _PURPOSE),
            **values,
        )
        self._cookies.set_form_binding(response, binding)
        return response

    def _check_form(self, context: SignInContext, form_token: str) -> None:
        """Refuse (bad_form) a form that is not from our own page in this browser."""
        request = context.request
        binding = self._cookies.form_binding(request)
        if not (
            is_same_origin(request.headers, request.host)
            and self._form_tokens.verify(form_token, binding, _PURPOSE)
        ):
            raise SignInError("bad_form")

    async def _trial(self, context: SignInContext, idp: IdentityProvider) -> Trial:
        session = await self._session(context)
        if not session.administrator or session.organization_id != idp.organization_id:
            raise SignInError("not_administrator")
        return Trial(idp.etag, session.user_id, session.user_name)

    async def _redirect_to_provider(
        self,
        idp: IdentityProvider,
        after: str,
        *,
        trial: Trial | None = None,
        replaced: ReplacedSession | None = None,
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
            replaced=replaced,
        )
        response = redirect(request.url)
        seconds = int(LIFETIME.total_seconds())
        self._cookies.set_sign_in(response, self._pending.sign(pending), ACS_PATH, seconds)
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
        # No assertion is accepted once the request has expired, so usersvc need not store its id
        # any longer.
        assertion = assertion.expiring_by(pending.expire_time)
        signed_in = await self._services.sign_in(
            idp, assertion, pending.replaced, context.request_id
        )
        if signed_in.session.administrator:
            try:
                await self._services.record_sign_in(
                    signed_in.session, context.request.remote or "", context.request_id
                )
            except SignInError:
                await self._services.end_session(signed_in.session_token, context.request_id)
                raise
            result = redirect(pending.after or DASHBOARD)
        else:
            result = self._renderer.page("signed_in.html", 200, context.request_id)
        self._cookies.set_session(result, signed_in.session_token)
        return result


def _replaced(session: Session) -> ReplacedSession | None:
    if not session.session_id:
        return None
    return ReplacedSession(session.organization_id, session.session_id)


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
    """The routes of single sign-on. Without `sso`, each responds that it is turned off."""
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
        Route("POST", CONFIRM_PATH, sso.confirm, CONFIRMATION_FORM),
        Route("GET", METADATA_PATH, sso.metadata),
        Route("GET", ACS_PATH, sso.refuse_get),
        Route("POST", ACS_PATH, sso.complete, RESPONSE_FORM, before_form=sso.pending),
    )


def _routes_when_off() -> Sequence[Route]:
    async def off(_: SignInContext) -> web.Response:
        raise SignInError("sso_off")

    endpoints = [("GET", LOGIN_PATH.rstrip("/")), ("GET", METADATA_PATH), ("POST", CONFIRM_PATH)]
    endpoints += [(method, path) for path in (LOGIN_PATH, ACS_PATH) for method in ("GET", "POST")]
    return [Route(method, path, off) for method, path in endpoints]
