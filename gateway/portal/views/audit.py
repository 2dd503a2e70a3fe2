"""The audit trail of API keys and integrations."""

from collections.abc import Sequence
from urllib.parse import urlencode

from aiohttp import web
from cloudacademy.keys.v1 import audit_pb2 as pb

from gateway.portal.context import PageContext, Route
from gateway.portal.models.audit_rows import audit_rows
from gateway.portal.views.integration import ENTRA

AUDIT = f"{ENTRA}audit"
PAGE_SIZE = 50


def routes() -> Sequence[Route]:
    """The route of the audit trail."""
    return (Route("GET", AUDIT, audit),)


async def audit(context: PageContext) -> web.Response:
    """One page of the audit trail, newest first."""
    response = await context.call(
        context.portal.clients.audit.ListAuditEvents,
        pb.ListAuditEventsRequest(
            organization_id=context.organization_id,
            page_size=PAGE_SIZE,
            page_token=context.query.get("page", ""),
        ),
    )
    token = response.next_page_token
    return context.page(
        "audit.html",
        title="Audit trail",
        tab="audit",
        rows=audit_rows(response.events),
        is_first_page=not context.query.get("page"),
        next_page=f"?{urlencode({'page': token})}" if token else "",
    )
