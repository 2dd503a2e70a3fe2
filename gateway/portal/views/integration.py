"""Settings & Integrations, and the settings of provisioning with each identity provider's words."""

import asyncio
from collections.abc import Sequence

from aiohttp import web
from cloudacademy.keys.v1 import keys_pb2

from gateway.portal.context import PageContext, Route, View
from gateway.portal.models.domain_rows import warnings
from gateway.portal.models.notices import notice
from gateway.portal.models.providers import PROVIDERS, ROOT
from gateway.portal.views.overview import overview
from gateway.portal.views.sso import read_connection


def routes() -> Sequence[Route]:
    """The routes of the integrations, and of activating and deactivating that of provisioning."""
    return (
        Route("GET", ROOT, integrations),
        *provider_routes("GET", "", integration),
        *provider_routes("POST", "activate", activate),
        *provider_routes("GET", "deactivate", confirm_deactivation),
        *provider_routes("POST", "deactivate", deactivate),
    )


def provider_routes(
    method: str, path: str, view: View, *, is_file: bool = False
) -> Sequence[Route]:
    """The routes of a page of the integration, below the path of each identity provider.

    All of them show the organization's only integration, in the words of the provider.
    """
    return [Route(method, each.path + path, view, is_file=is_file) for each in PROVIDERS]


async def integrations(context: PageContext) -> web.Response:
    """A card for each identity provider of the provisioning integration, and for single sign-on."""
    provisioning, sso = await asyncio.gather(overview(context), read_connection(context))
    return context.page(
        "integrations.html",
        title="Settings & Integrations",
        overview=provisioning,
        providers=PROVIDERS,
        sso=sso,
        warnings=warnings(sso.domain_proofs),
    )


async def integration(context: PageContext) -> web.Response:
    """Steps, Tenant URL, API keys and state."""
    return context.page(
        "integration.html",
        title=context.provider.title,
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
    return context.redirect(f"{context.provider.path}?done=activated")


async def confirm_deactivation(context: PageContext) -> web.Response:
    """Ask for confirmation, because deactivating locks the identity provider out."""
    return context.page("integration_deactivate.html", title="Deactivate integration", tab="setup")


async def deactivate(context: PageContext) -> web.Response:
    """Deactivate the integration, so that all keys are refused."""
    await context.call(
        context.portal.clients.integrations.DeactivateIntegration,
        keys_pb2.DeactivateIntegrationRequest(
            organization_id=context.organization_id, actor=context.actor
        ),
    )
    return context.redirect(f"{context.provider.path}?done=deactivated")
