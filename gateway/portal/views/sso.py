"""The page with the settings of single sign-on."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web
from cloudacademy.keys.v1 import sso_pb2 as pb
from cloudacademy.keys.v1.domains_pb2 import RecordDomainCheckRequest

from gateway.backend.errors import RefusedError
from gateway.portal.context import PageContext, Route
from gateway.portal.models.domain_rows import domain_rows, warnings
from gateway.portal.models.notices import notice
from gateway.portal.models.sso_form import SsoForm, of_connection, of_fields, thumbprints
from gateway.portal.models.times import to_datetime

SSO = "/settings/integrations/sso/"
ENTITY_ID = "urn:federation:cloudacademy"
_REFUSALS = {
    "SSO_DOMAIN_TAKEN": "The TXT record was found, but another organization has verified this "
    "email domain before. If it is yours, contact Cloud Academy support.",
    "ETAG_MISMATCH": "The settings have changed since you opened this page, so yours were not "
    "saved. Reload the page and enter them again.",
    "SSO_NOT_TESTED": "The current single sign-on settings have not been tested. Test them first.",
}


def routes() -> Sequence[Route]:
    """The routes of the settings, and of activating and deactivating single sign-on."""
    return (
        Route("GET", SSO, sso),
        Route("POST", SSO, save),
        Route("POST", f"{SSO}check-domain", check_domain),
        Route("POST", f"{SSO}activate", activate),
        Route("GET", f"{SSO}deactivate", confirm_deactivation),
        Route("POST", f"{SSO}deactivate", deactivate),
    )


async def sso(context: PageContext) -> web.Response:
    """The current settings."""
    connection = await read_connection(context)
    return _page(context, connection, of_connection(connection), notice=notice(context.query))


async def save(context: PageContext) -> web.Response:
    """Save the settings."""
    form = of_fields(context.fields)
    try:
        updated = await context.call(
            context.portal.clients.sso.UpdateSsoConnection,
            pb.UpdateSsoConnectionRequest(
                organization_id=context.organization_id,
                connection=form.connection(),
                etag=form.etag,
                actor=context.actor,
            ),
        )
    except RefusedError as error:
        return await _refused(context, form, error)
    done = "sso-unchanged" if updated.connection.etag == form.etag else "sso-saved"
    return context.redirect(f"{SSO}?done={done}")


async def check_domain(context: PageContext) -> web.Response:
    """Look up the TXT record of a domain now."""
    connection = await read_connection(context)
    name = context.fields.get("domain", "")
    domain = next((each for each in connection.domain_proofs if each.name == name), None)
    if domain is None:  # another administrator has removed it
        return context.redirect(SSO)
    try:
        result, _ = await context.portal.domain_checker.check(
            domain, context.request_id, context.actor
        )
    except RefusedError as error:
        return await _refused(context, of_connection(connection), error)
    name = RecordDomainCheckRequest.Result.Name(result).removeprefix("RESULT_").lower()
    return context.redirect(f"{SSO}?done=domain-{name}#domains-h")


async def activate(context: PageContext) -> web.Response:
    """Activate single sign-on."""
    request = pb.ActivateSsoConnectionRequest(
        organization_id=context.organization_id, actor=context.actor
    )
    try:
        await context.call(context.portal.clients.sso.ActivateSsoConnection, request)
    except RefusedError as error:
        connection = await read_connection(context)
        return await _refused(context, of_connection(connection), error)
    return context.redirect(f"{SSO}?done=sso-activated")


async def confirm_deactivation(context: PageContext) -> web.Response:
    """Ask for confirmation, because people sign in through it."""
    return context.page("sso_deactivate.html", title="Deactivate single sign-on")


async def deactivate(context: PageContext) -> web.Response:
    """Deactivate single sign-on."""
    await context.call(
        context.portal.clients.sso.DeactivateSsoConnection,
        pb.DeactivateSsoConnectionRequest(
            organization_id=context.organization_id, actor=context.actor
        ),
    )
    return context.redirect(f"{SSO}?done=sso-deactivated")


async def read_connection(context: PageContext) -> pb.SsoConnection:
    """Read the connection of the session's organization."""
    response = await context.call(
        context.portal.clients.sso.GetSsoConnection,
        pb.GetSsoConnectionRequest(organization_id=context.organization_id),
    )
    return response.connection


async def _refused(context: PageContext, form: SsoForm, error: RefusedError) -> web.Response:
    """The submitted form with a message. Raises the error again if it does not concern the form."""
    if error.reason not in _REFUSALS and error.reason != "INVALID_FIELD":
        raise error
    text = _REFUSALS.get(error.reason, error.detail)
    return _page(context, await read_connection(context), form, refusal=text, status=error.status)


def _page(
    context: PageContext,
    connection: pb.SsoConnection,
    form: SsoForm,
    *,
    notice: str = "",
    refusal: str = "",
    status: int = 200,
) -> web.Response:
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(context.portal.tenant_url))
    return context.page(
        "sso.html",
        status,
        title="Single sign-on",
        connection=connection,
        tested=to_datetime(connection.test_time) if connection.HasField("test_time") else None,
        form=form,
        thumbprints=thumbprints(connection.certificates),
        domains=domain_rows(connection.domain_proofs),
        warnings=warnings(connection.domain_proofs),
        entity_id=ENTITY_ID,
        reply_url=f"{origin}/labs/social/complete/saml/",
        sign_on_url=f"{origin}/login/enterprise/",
        notice=notice,
        refusal=refusal,
    )
