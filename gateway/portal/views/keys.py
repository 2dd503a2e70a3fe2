"""Generating and revoking API keys."""

from collections.abc import Sequence

from aiohttp import web
from cloudacademy.keys.v1 import keys_pb2 as pb

from gateway.backend.errors import RefusedError
from gateway.portal import problems
from gateway.portal.models.key_rows import GRACE_HOURS, KeyRow, key_rows
from gateway.portal.problems import ProblemError
from gateway.portal.views.integration import ENTRA
from gateway.portal.views.names import names_of
from gateway.portal.visit import Route, Visit

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

    async def ask(self, visit: Visit) -> web.Response:
        """Say what a new key means for the older ones."""
        keys = await _keys(visit)
        newest = keys[0].id if keys else _NONE
        rows = await _rows(visit, keys)
        return visit.page(
            "key_new.html",
            title="Generate a new API Key",
            tab="setup",
            hours=GRACE_HOURS,
            active=await _is_active(visit),
            working=[row for row in rows if row.works],
            newest=newest,
            seal=visit.form_token(_purpose(newest)),
        )

    async def generate(self, visit: Visit) -> web.Response:
        """Make the key and show its token, this once."""
        newest, seal = visit.fields.get("newest", ""), visit.fields.get("seal", "")
        if not visit.portal.forms.accepts(seal, visit.bound_to, _purpose(newest)):
            raise ProblemError(problems.FORGED)
        try:
            generated = await visit.call(
                visit.portal.clients.keys.GenerateKey,
                pb.GenerateKeyRequest(
                    organization_id=visit.organization_id,
                    created_by=visit.session.user_id,
                    actor=visit.actor,
                    newest_key_id=newest,
                ),
            )
        except RefusedError as error:
            if error.reason != "NEWER_KEY_EXISTS":
                raise
            return await _generated_already(visit, await _keys(visit))
        return visit.page(
            "key_generated.html",
            title="Your new API Key",
            tab="setup",
            token=generated.token,
            tenant_url=visit.portal.tenant_url,
            hours=GRACE_HOURS,
            is_first=newest == _NONE,
        )

    async def confirm_revocation(self, visit: Visit) -> web.Response:
        """Ask first: it cannot be taken back."""
        rows = await _rows(visit, await _keys(visit))
        row = next((row for row in rows if row.id == visit.path("key_id")), None)
        if row is None:
            raise ProblemError(problems.NO_KEY)
        others = any(other.works for other in rows if other is not row)
        return visit.page(
            "key_revoke.html", title="Revoke this API Key", tab="setup", key=row, others=others
        )

    async def revoke(self, visit: Visit) -> web.Response:
        """End a key at once."""
        await visit.call(
            visit.portal.clients.keys.RevokeKey,
            pb.RevokeKeyRequest(
                organization_id=visit.organization_id,
                key_id=visit.path("key_id"),
                revoked_by=visit.session.user_id,
                actor=visit.actor,
            ),
        )
        return visit.redirect(f"{ENTRA}?done=revoked")


async def _generated_already(visit: Visit, keys: Sequence[pb.Key]) -> web.Response:
    rows = await _rows(visit, keys)
    return visit.page(
        "key_generated_already.html",
        409,
        title="A key was generated already",
        tab="setup",
        key=rows[0],
    )


async def _keys(visit: Visit) -> Sequence[pb.Key]:
    response = await visit.call(
        visit.portal.clients.keys.ListKeys,
        pb.ListKeysRequest(organization_id=visit.organization_id),
    )
    return response.keys


async def _rows(visit: Visit, keys: Sequence[pb.Key]) -> Sequence[KeyRow]:
    nameless = [key for key in keys if not key.created_by_name]
    names = await names_of(visit, (key.created_by for key in nameless))
    return key_rows(keys, names, visit.now)


async def _is_active(visit: Visit) -> bool:
    response = await visit.call(
        visit.portal.clients.integrations.GetIntegration,
        pb.GetIntegrationRequest(organization_id=visit.organization_id),
    )
    return response.integration.state == pb.Integration.STATE_ACTIVE


def _purpose(newest: str) -> str:
    return f"generate after {newest}"
