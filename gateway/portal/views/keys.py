"""Generating and revoking API keys."""

from collections.abc import Sequence

from aiohttp import web
from cloudacademy.keys.v1 import keys_pb2 as pb

from gateway.backend.errors import RefusedError
from gateway.portal import problems
from gateway.portal.context import PageContext, Route
from gateway.portal.models.key_rows import GRACE_HOURS, KeyRow, key_rows
from gateway.portal.problems import ProblemError
from gateway.portal.views.integration import ENTRA
from gateway.portal.views.names import names_of

NEW = f"{ENTRA}keys/new"
_NONE = "none"


class Keys:
    """The pages that make and end keys.

    A form makes one key at most: it names the newest key that there was when
    it was opened, sealed, and keysvc refuses it once there is a newer one. So
    neither a reload nor a second click makes another key, whichever gateway
    answers, and two administrators do not replace each other's key unknowingly.
    """

    def routes(self) -> Sequence[Route]:
        """The pages."""
        return (
            Route("GET", NEW, self.ask),
            Route("POST", NEW, self.generate),
            Route("GET", f"{ENTRA}keys/{{key_id}}/revoke", self.confirm_revocation),
            Route("POST", f"{ENTRA}keys/{{key_id}}/revoke", self.revoke),
        )

    async def ask(self, context: PageContext) -> web.Response:
        """Say what a new key means for the older ones."""
        keys = await _keys(context)
        newest = keys[0].id if keys else _NONE
        rows = await _rows(context, keys)
        return context.page(
            "key_new.html",
            title="Generate a new API Key",
            tab="setup",
            hours=GRACE_HOURS,
            active=await _is_active(context),
            working=[row for row in rows if row.works],
            newest=newest,
            seal=context.form_token(_purpose(newest)),
        )

    async def generate(self, context: PageContext) -> web.Response:
        """Make the key and show its token, this once."""
        newest, seal = context.fields.get("newest", ""), context.fields.get("seal", "")
        if not context.portal.form_tokens.verify(seal, context.form_binding, _purpose(newest)):
            raise ProblemError(problems.FORGED)
        try:
            generated = await context.call(
                context.portal.clients.keys.GenerateKey,
                pb.GenerateKeyRequest(
                    organization_id=context.organization_id,
                    created_by=context.session.user_id,
                    actor=context.actor,
                    newest_key_id=newest,
                ),
            )
        except RefusedError as error:
            if error.reason != "NEWER_KEY_EXISTS":
                raise
            return await _generated_already(context, await _keys(context))
        return context.page(
            "key_generated.html",
            title="Your new API Key",
            tab="setup",
            token=generated.token,
            tenant_url=context.portal.tenant_url,
            hours=GRACE_HOURS,
            is_first=newest == _NONE,
        )

    async def confirm_revocation(self, context: PageContext) -> web.Response:
        """Ask first: it cannot be taken back."""
        rows = await _rows(context, await _keys(context))
        row = next((row for row in rows if row.id == context.path("key_id")), None)
        if row is None:
            raise ProblemError(problems.NO_KEY)
        others = any(other.works for other in rows if other is not row)
        return context.page(
            "key_revoke.html", title="Revoke this API Key", tab="setup", key=row, others=others
        )

    async def revoke(self, context: PageContext) -> web.Response:
        """End a key at once."""
        await context.call(
            context.portal.clients.keys.RevokeKey,
            pb.RevokeKeyRequest(
                organization_id=context.organization_id,
                key_id=context.path("key_id"),
                revoked_by=context.session.user_id,
                actor=context.actor,
            ),
        )
        return context.redirect(f"{ENTRA}?done=revoked")


async def _generated_already(context: PageContext, keys: Sequence[pb.Key]) -> web.Response:
    rows = await _rows(context, keys)
    return context.page(
        "key_generated_already.html",
        409,
        title="A key was generated already",
        tab="setup",
        key=rows[0],
    )


async def _keys(context: PageContext) -> Sequence[pb.Key]:
    response = await context.call(
        context.portal.clients.keys.ListKeys,
        pb.ListKeysRequest(organization_id=context.organization_id),
    )
    return response.keys


async def _rows(context: PageContext, keys: Sequence[pb.Key]) -> Sequence[KeyRow]:
    nameless = [key for key in keys if not key.created_by_name]
    names = await names_of(context, (key.created_by for key in nameless))
    return key_rows(keys, names, context.now)


async def _is_active(context: PageContext) -> bool:
    response = await context.call(
        context.portal.clients.integrations.GetIntegration,
        pb.GetIntegrationRequest(organization_id=context.organization_id),
    )
    return response.integration.state == pb.Integration.STATE_ACTIVE


def _purpose(newest: str) -> str:
    return f"generate after {newest}"
