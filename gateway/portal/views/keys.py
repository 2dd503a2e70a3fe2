"""Generating and revoking API keys."""

from collections.abc import Sequence

from aiohttp import web
from cloudacademy.keys.v1 import keys_pb2 as pb

from gateway.backend.errors import RefusedError
from gateway.portal import problems
from gateway.portal.context import PageContext, Route
from gateway.portal.models.key_rows import GRACE_HOURS, KeyRow, key_rows
from gateway.portal.problems import ProblemError
from gateway.portal.views.integration import provider_routes
from gateway.portal.views.names import names_of

_NO_KEY = "none"


class Keys:
    """The pages that generate and revoke keys.

    A form generates at most one key. It carries the id of the newest key at the time the form was
    opened, with a token over that id, and keysvc refuses it if there is a newer key. So a reload
    or a second click generates no second key, whichever gateway replica answers, and two
    administrators cannot replace each other's key unknowingly.
    """

    def routes(self) -> Sequence[Route]:
        """The routes of these pages."""
        return (
            *provider_routes("GET", "keys/new", self.show_form),
            *provider_routes("POST", "keys/new", self.generate),
            *provider_routes("GET", "keys/{key_id}/revoke", self.confirm_revocation),
            *provider_routes("POST", "keys/{key_id}/revoke", self.revoke),
        )

    async def show_form(self, context: PageContext) -> web.Response:
        """Explain when older keys expire, and show the form."""
        keys = await _keys(context)
        newest = keys[0].id if keys else _NO_KEY
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
        """Generate a key and show its token, which cannot be shown again."""
        newest, seal = context.fields.get("newest", ""), context.fields.get("seal", "")
        if not context.portal.form_tokens.verify(seal, context.form_binding, _purpose(newest)):
            raise ProblemError(problems.INVALID_FORM)
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
            title="Your new API key",
            tab="setup",
            token=generated.token,
            tenant_url=context.portal.tenant_url,
            hours=GRACE_HOURS,
            is_first=newest == _NO_KEY,
        )

    async def confirm_revocation(self, context: PageContext) -> web.Response:
        """Ask for confirmation, because revoking cannot be undone."""
        rows = await _rows(context, await _keys(context))
        row = next((row for row in rows if row.id == context.path("key_id")), None)
        if row is None:
            raise ProblemError(problems.KEY_NOT_FOUND)
        others = any(other.works for other in rows if other is not row)
        return context.page(
            "key_revoke.html", title="Revoke API key", tab="setup", key=row, others=others
        )

    async def revoke(self, context: PageContext) -> web.Response:
        """Revoke a key immediately."""
        await context.call(
            context.portal.clients.keys.RevokeKey,
            pb.RevokeKeyRequest(
                organization_id=context.organization_id,
                key_id=context.path("key_id"),
                revoked_by=context.session.user_id,
                actor=context.actor,
            ),
        )
        return context.redirect(f"{context.provider.path}?done=revoked")


async def _generated_already(context: PageContext, keys: Sequence[pb.Key]) -> web.Response:
    rows = await _rows(context, keys)
    return context.page(
        "key_generated_already.html",
        409,
        title="An API key has already been generated",
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
    unnamed = [key for key in keys if not key.created_by_name]
    names = await names_of(context, (key.created_by for key in unnamed))
    return key_rows(keys, names, context.now)


async def _is_active(context: PageContext) -> bool:
    response = await context.call(
        context.portal.clients.integrations.GetIntegration,
        pb.GetIntegrationRequest(organization_id=context.organization_id),
    )
    return response.integration.state == pb.Integration.STATE_ACTIVE


def _purpose(newest: str) -> str:
    return f"generate after {newest}"
