"""Settings & Integrations, and the settings of Microsoft Entra ID."""

import asyncio
from collections.abc import Sequence

from aiohttp import web
from cloudacademy.keys.v1 import keys_pb2, sso_pb2

from gateway.portal.context import PageContext, Route
from gateway.portal.models.notices import notice
from gateway.portal.views.overview import overview

ENTRA = "/settings/integrations/entra/"


def routes() -> Sequence[Route]:
    """The routes of the integrations, and of activating and deactivating that of Entra."""
    return (
        Route("GET", "/settings/integrations/", integrations),
        Route("GET", ENTRA, entra),
        Route("POST", f"{ENTRA}activate", activate),
        Route("GET", f"{ENTRA}deactivate", confirm_deactivation),
        Route("POST", f"{ENTRA}deactivate", deactivate),
    )


async def integrations(context: PageContext) -> web.Response:
    """One card per integration."""
    provisioning, sso = await asyncio.gather(overview(context), _sso(context))
    return context.page(
        "integrations.html", title="Settings & Integrations", overview=provisioning, sso=sso
    )


async def entra(context: PageContext) -> web.Response:
    """State, Tenant URL and API keys."""
    return context.page(
        "entra.html",
        title="Microsoft Entra ID",
        tab="setup",
        overview=await overview(context),
        tenant_url=context.portal.tenant_url,
        notice=notice(context.query),
    )


async def activate(context: PageContext) -> web.Response:
    """Activate the integration, so that its keys are accepted."""
    await context.call(
        context.portal.clients.integrations.ActivateIntegration,
        keys_pb2.ActivateIntegrationRequest(
            organization_id=context.organization_id, actor=context.actor
        ),
    )
    return context.redirect(f"{ENTRA}?done=activated")


async def confirm_deactivation(context: PageContext) -> web.Response:
    """Ask for confirmation, because deactivating locks Entra out."""
    return context.page("entra_deactivate.html", title="Deactivate integration", tab="setup")


async def deactivate(context: PageContext) -> web.Response:
    """Deactivate the integration, so that all keys are refused."""
    await context.call(
        context.portal.clients.integrations.DeactivateIntegration,
        keys_pb2.DeactivateIntegrationRequest(
            organization_id=context.organization_id, actor=context.actor
        ),
    )
    return context.redirect(f"{ENTRA}?done=deactivated")


async def _sso(context: PageContext) -> sso_pb2.SsoConnection:
    response = await context.call(
        context.portal.clients.sso.GetSsoConnection,
        sso_pb2.GetSsoConnectionRequest(organization_id=context.organization_id),
    )
    return response.connection
