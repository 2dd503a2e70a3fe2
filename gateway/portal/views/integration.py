"""Settings & Integrations, and the page of Microsoft Entra ID in it."""

import asyncio
from collections.abc import Sequence

from aiohttp import web
from cloudacademy.keys.v1 import keys_pb2, sso_pb2

from gateway.portal.models.notices import notice
from gateway.portal.views.overview import overview
from gateway.portal.visit import Route, Visit

ENTRA = "/settings/integrations/entra/"


def routes() -> Sequence[Route]:
    """The integrations and the switch of the one that we have."""
    return (
        Route("GET", "/settings/integrations/", integrations),
        Route("GET", ENTRA, entra),
        Route("POST", f"{ENTRA}activate", activate),
        Route("GET", f"{ENTRA}deactivate", confirm_deactivation),
        Route("POST", f"{ENTRA}deactivate", deactivate),
    )


async def integrations(visit: Visit) -> web.Response:
    """A card for each integration."""
    shown, sso = await asyncio.gather(overview(visit), _sso(visit))
    return visit.page("integrations.html", title="Settings & Integrations", overview=shown, sso=sso)


async def entra(visit: Visit) -> web.Response:
    """State, Tenant URL and keys."""
    return visit.page(
        "entra.html",
        title="Microsoft Entra ID",
        tab="setup",
        overview=await overview(visit),
        tenant_url=visit.portal.tenant_url,
        notice=notice(visit.query),
    )


async def activate(visit: Visit) -> web.Response:
    """Let the keys work."""
    await visit.call(
        visit.portal.clients.integrations.ActivateIntegration,
        keys_pb2.ActivateIntegrationRequest(
            organization_id=visit.organization_id, actor=visit.actor
        ),
    )
    return visit.redirect(f"{ENTRA}?done=activated")


async def confirm_deactivation(visit: Visit) -> web.Response:
    """Ask first: it cuts Entra off."""
    return visit.page("entra_deactivate.html", title="Deactivate the integration", tab="setup")


async def deactivate(visit: Visit) -> web.Response:
    """Refuse all keys."""
    await visit.call(
        visit.portal.clients.integrations.DeactivateIntegration,
        keys_pb2.DeactivateIntegrationRequest(
            organization_id=visit.organization_id, actor=visit.actor
        ),
    )
    return visit.redirect(f"{ENTRA}?done=deactivated")


async def _sso(visit: Visit) -> sso_pb2.SsoConnection:
    response = await visit.call(
        visit.portal.clients.sso.GetSsoConnection,
        sso_pb2.GetSsoConnectionRequest(organization_id=visit.organization_id),
    )
    return response.connection
