"""The routes of the portal."""

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from chassis.clock import Clock
from chassis.observability.log import Logger
from gateway.backend.portal import PortalClients
from gateway.domain_proofs.checker import DomainChecker
from gateway.portal.context import Access, Portal, Route
from gateway.portal.endpoint import PortalEndpoint
from gateway.portal.models import times
from gateway.portal.renderer import TemplateRenderer
from gateway.portal.views import (
    audit,
    dashboard,
    groups,
    integration,
    keys,
    log,
    log_export,
    people,
    sessions,
    sign_in,
    sso,
)
from gateway.portal.views.not_found import NotFound
from gateway.signing.shared_secrets import SharedSecrets
from gateway.web.assets import PATH as ASSETS_PATH
from gateway.web.assets import Assets
from gateway.web.cookies import Cookies
from gateway.web.csrf import FormTokens
from gateway.web.page_limits import PageLimiter

_ROOTS: Final = ("dashboard", "settings", "people", "groups", "login", "logout", "portal")


def portal(
    clients: PortalClients,
    domain_checker: DomainChecker,
    *,
    tenant_url: str,
    region: str,
    secrets: SharedSecrets,
    clock: Clock,
) -> Portal:
    """Create the object that all pages share."""
    return Portal(
        clients=clients,
        domain_checker=domain_checker,
        renderer=TemplateRenderer(Assets().url, filters()),
        form_tokens=FormTokens(secrets),
        cookies=Cookies.of(tenant_url, region),
        tenant_url=tenant_url,
        clock=clock,
    )


def portal_routes(shared: Portal, limiter: PageLimiter, log: Logger) -> list[web.RouteDef]:
    """All pages, the static files, and an error page for other paths below the portal's roots."""
    pages = all_routes()
    not_found = NotFound({route.path for route in pages})
    unknown = [
        Route("*", path, not_found, Access.PUBLIC)
        for root in _ROOTS
        for path in (f"/{root}", f"/{root}/{{rest:[\\s\\S]*}}")
    ]
    files = web.get(f"{ASSETS_PATH}{{name}}", Assets().get)
    return [
        files,
        *(_route(each, PortalEndpoint(shared, each, limiter, log)) for each in (*pages, *unknown)),
    ]


def _route(route: Route, endpoint: PortalEndpoint) -> web.RouteDef:
    if route.method == "GET":
        return web.get(route.path, endpoint)  # aiohttp adds HEAD
    return web.route(route.method, route.path, endpoint)


def all_routes() -> Sequence[Route]:
    """Every page of the portal."""
    return (
        *sign_in.routes(),
        *dashboard.routes(),
        *integration.routes(),
        *keys.Keys().routes(),
        *log.routes(),
        *log_export.routes(),
        *audit.routes(),
        *sso.routes(),
        *sessions.routes(),
        *people.routes(),
        *groups.routes(),
    )


def filters() -> dict[str, Any]:
    """The filters that templates use to format values."""
    return {
        "iso": times.iso,
        "absolute": times.absolute,
        "precise": times.precise,
        "ago": times.ago,
        "pluralize": times.pluralize,
        "number": "{:,}".format,
    }
