"""The request context that views receive."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
from aiohttp import web
from cloudacademy.keys.v1.audit_pb2 import Actor, AuditEvent, RecordAuditEventRequest
from cloudacademy.users.v1.sessions_pb2 import Session

from gateway.backend.actors import actor
from gateway.backend.client import Origin, call
from gateway.backend.portal import PortalClients
from gateway.domain_proofs.checker import DomainChecker
from gateway.portal.models.providers import ENTRA, Provider, of_path
from gateway.portal.renderer import TemplateRenderer
from gateway.web.cookies import Cookies
from gateway.web.csrf import CSRF_FIELD, FormTokens
from gateway.web.headers import SECURITY

Response = TypeVar("Response")
View = Callable[["PageContext"], Awaitable[web.StreamResponse]]


class Access(Enum):
    """The visitors that a page admits."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    ADMINISTRATORS = "administrators"


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the portal: its view, and who may open it."""

    method: str
    path: str
    view: View
    access: Access = Access.ADMINISTRATORS
    is_file: bool = False
    """Whether the response is a streamed download, which uses a download slot."""


@dataclass(frozen=True, slots=True)
class Portal:
    """The collaborators that all requests share."""

    clients: PortalClients
    domain_checker: DomainChecker
    renderer: TemplateRenderer
    form_tokens: FormTokens
    cookies: Cookies
    tenant_url: str
    clock: Callable[[], datetime]

    @property
    def origin(self) -> str:
        """The scheme and host of the portal's addresses."""
        scheme, host, *_ = urlsplit(self.tenant_url)
        return f"{scheme}://{host}"


@dataclass(slots=True)
class PageContext:
    """One request, with its session, its form, the services and the renderer."""

    portal: Portal
    request: web.Request
    request_id: str
    form_binding: str = ""
    """The value to which form tokens are bound: the session token, or a cookie before sign-in."""
    session: Session = field(default_factory=Session)
    organization_name: str = ""
    """The name of the session's organization; empty if it is unknown at the moment."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The fields of the submitted form. Its CSRF token has been verified."""

    @property
    def organization_id(self) -> str:
        """The organization of the session."""
        return self.session.organization_id

    @property
    def actor(self) -> Actor:
        """The signed-in user, for the audit trail."""
        return actor(self.session.user_id, self.session.user_name, self.request.remote or "")

    @property
    def page_provider(self) -> Provider | None:
        """The identity provider to which the page belongs; None for a page of all providers."""
        return of_path(self.request.path)

    @property
    def provider(self) -> Provider:
        """The identity provider whose labels and steps the page shows."""
        return self.page_provider or ENTRA

    @property
    def now(self) -> datetime:
        """The current time, with a time zone."""
        return self.portal.clock()

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters."""
        return self.request.query

    def path(self, name: str) -> str:
        """The value of a path parameter."""
        return self.request.match_info[name]

    async def call(
        self, method: "grpc.aio.UnaryUnaryMultiCallable[Any, Response]", request: object
    ) -> Response:
        """Call an RPC. Raises RefusedError if the service refuses the request."""
        return await call(method, request, Origin(self.request_id))

    async def record(self, action: "AuditEvent.Action", user_id: str = "") -> None:
        """Record an action of the signed-in user in the audit trail."""
        await self.call(
            self.portal.clients.audit.RecordAuditEvent,
            RecordAuditEventRequest(
                organization_id=self.organization_id,
                actor=self.actor,
                action=action,
                user_id=user_id,
            ),
        )

    def form_token(self, purpose: str = "") -> str:
        """A CSRF token for a form of this session."""
        return self.portal.form_tokens.create(self.form_binding, purpose)

    def page(self, template: str, status: int = 200, **values: Any) -> web.Response:  # noqa: ANN401
        """A response with a rendered template."""
        html = self.portal.renderer.render(template, self._common() | values)
        return web.Response(
            text=html, status=status, content_type="text/html", charset="utf-8", headers=SECURITY
        )

    def redirect(self, location: str) -> web.Response:
        """Redirect with 303, so that a reload does not send a form again (RFC 9110, 15.4.4)."""
        return web.Response(status=303, headers={**SECURITY, "Location": location})

    def _common(self) -> dict[str, Any]:
        return {
            "session": self.session,
            "organization_name": self.organization_name,
            "here": self.request.path,
            "now": self.now,
            "provider": self.provider,
            "request_id": self.request_id,
            "form_field": CSRF_FIELD,
            "form_token": self.form_token() if self.form_binding else "",
        }
