"""The audit trail of API keys, integrations and sessions."""

from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

from aiohttp import web
from cloudacademy.keys.v1 import audit_pb2 as pb

from gateway.backend.errors import RefusedError
from gateway.portal.context import PageContext, Route
from gateway.portal.models.audit_rows import KINDS, audit_rows, csv_end, csv_head, csv_line
from gateway.portal.views.integration import provider_routes
from gateway.web.download import send
from gateway.web.headers import SECURITY

PAGE_SIZE = 50
FILE_PAGE_SIZE = 250
MAX_FILE_EVENTS = 50_000
"""The limit of a download."""


def routes() -> Sequence[Route]:
    """The routes of the audit trail."""
    return (
        *provider_routes("GET", "audit", audit),
        *provider_routes("GET", "audit.csv", as_csv, is_file=True),
    )


async def audit(context: PageContext) -> web.Response:
    """One page of the audit trail, newest first, of one kind of event or of all."""
    kind = context.query.get("kind", "")
    request = _request(context, PAGE_SIZE)
    response = await context.call(context.portal.clients.audit.ListAuditEvents, request)
    token = response.next_page_token
    return context.page(
        "audit.html",
        title="Audit trail",
        tab="audit",
        rows=audit_rows(response.events),
        is_first_page=not context.query.get("page"),
        kinds=[(name, label) for name, (label, _) in KINDS.items()],
        kind=kind,
        next_page=f"?{urlencode({'kind': kind, 'page': token})}" if token else "",
    )


async def as_csv(context: PageContext) -> web.StreamResponse:
    """Download the trail as CSV, of one kind of event or of all."""
    name = f"audit-trail-{context.now:%Y-%m-%d}.csv"
    headers = {
        **SECURITY,
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Request-Id": context.request_id,
    }
    request = _request(context, FILE_PAGE_SIZE)
    first = await context.call(context.portal.clients.audit.ListAuditEvents, request)
    return await send(context.request, headers, _parts(context, request, first))


async def _parts(
    context: PageContext, request: pb.ListAuditEventsRequest, page: pb.ListAuditEventsResponse
) -> AsyncIterator[str]:
    yield csv_head()
    left = MAX_FILE_EVENTS
    while True:
        yield "".join(map(csv_line, audit_rows(page.events)))
        left -= len(page.events)
        if not page.next_page_token:
            return
        if left <= 0:
            yield csv_end("This file has reached its limit.")
            return
        request.page_token = page.next_page_token
        try:
            page = await context.call(context.portal.clients.audit.ListAuditEvents, request)
        except RefusedError:
            yield csv_end("The service did not answer. Download the file again.")
            return


def _request(context: PageContext, size: int) -> pb.ListAuditEventsRequest:
    _, actions = KINDS.get(context.query.get("kind", ""), ("", ()))
    return pb.ListAuditEventsRequest(
        organization_id=context.organization_id,
        page_size=size,
        page_token=context.query.get("page", ""),
        actions=actions,
    )
