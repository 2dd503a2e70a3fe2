"""One request of a browser, as a view sees it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, TypeVar

import grpc
from aiohttp import web
from cloudacademy.keys.v1.audit_pb2 import Actor
from cloudacademy.users.v1.sessions_pb2 import Session

from gateway.backend.client import Origin, call
from gateway.backend.portal import PortalClients
from gateway.portal.renderer import TemplateRenderer
from gateway.web.cookies import Cookies
from gateway.web.csrf import CSRF_FIELD, FormTokens
from gateway.web.headers import SECURITY

Response = TypeVar("Response")
View = Callable[["PageContext"], Awaitable[web.StreamResponse]]

NOBODY: Final = Session()


class Access(Enum):
    """Who may see a page."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"
    ADMINISTRATORS = "administrators"


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the portal: what answers there, and whom."""

    method: str
    path: str
    view: View
    access: Access = Access.ADMINISTRATORS
    is_file: bool = False
    """Whether the answer is sent bit by bit, for as long as somebody reads it."""


@dataclass(frozen=True, slots=True)
class Portal:
    """What all visits share."""

    clients: PortalClients
    renderer: TemplateRenderer
    form_tokens: FormTokens
    cookies: Cookies
    tenant_url: str
    clock: Callable[[], datetime]


@dataclass(slots=True)
class PageContext:
    """A request, who makes it, and what it may use."""

    portal: Portal
    request: web.Request
    request_id: str
    form_binding: str = ""
    """What the forms of this browser are bound to."""
    session: Session = field(default_factory=Session)
    fields: Mapping[str, str] = field(default_factory=dict)
    """The form that was sent; its token has been checked."""

    @property
    def organization_id(self) -> str:
        """The organization of the person, as the session says."""
        return self.session.organization_id

    @property
    def actor(self) -> Actor:
        """The person, for audit trails."""
        return Actor(
            id=self.session.user_id,
            display_name=self.session.user_name,
            address=self.request.remote or "",
        )

    @property
    def now(self) -> datetime:
        """The time, with a time zone."""
        return self.portal.clock()

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters in the address."""
        return self.request.query

    def path(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    async def call(
        self, method: "grpc.aio.UnaryUnaryMultiCallable[Any, Response]", request: object
    ) -> Response:
        """Ask a service; what it refuses is raised as RefusedError."""
        return await call(method, request, Origin(self.request_id))

    def form_token(self, purpose: str = "") -> str:
        """The token for a form of this browser."""
        return self.portal.form_tokens.create(self.form_binding, purpose)

    def page(self, template: str, status: int = 200, **values: Any) -> web.Response:  # noqa: ANN401
        """A page of ours."""
        html = self.portal.renderer.render(template, self._common() | values)
        return web.Response(
            text=html, status=status, content_type="text/html", charset="utf-8", headers=SECURITY
        )

    def redirect(self, location: str) -> web.Response:
        """Show another page, which a reload then asks for (RFC 9110 section 15.4.4)."""
        return web.Response(status=303, headers={**SECURITY, "Location": location})

    def _common(self) -> dict[str, Any]:
        return {
            "session": self.session,
            "here": self.request.path,
            "now": self.now,
            "request_id": self.request_id,
            "form_field": CSRF_FIELD,
            "form_token": self.form_token() if self.form_binding else "",
        }
