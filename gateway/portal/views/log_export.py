"""Downloads of the log, streamed page by page."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from cloudacademy.keys.v1.audit_pb2 import AuditEvent
from cloudacademy.users.v1 import activity_pb2 as pb

from gateway.backend.errors import RefusedError
from gateway.portal.context import PageContext, Route
from gateway.portal.models.log.exports import (
    csv_end,
    csv_head,
    csv_line,
    ndjson_end,
    ndjson_line,
)
from gateway.portal.models.log.query import log_query, max_entries
from gateway.portal.views.integration import provider_routes
from gateway.web.download import send
from gateway.web.headers import SECURITY

PAGE_SIZE: Final = 250
"""Entries per RPC. usersvc and the gateway each take about 10 ms for a page."""
LINES_PER_PART: Final = 50
"""Entries that are formatted before other requests get their turn on the event loop."""
EXPORT_SECONDS: Final = 45.0
"""A file ends after this time, before the time limit of downloads aborts the connection."""


@dataclass(frozen=True, slots=True)
class Format:
    """A file format of the log."""

    suffix: str
    content_type: str
    head: str
    line: Callable[[pb.Activity], str]
    end: Callable[[str, str], str]
    """The last line of an incomplete file."""


CSV: Final = Format("csv", "text/csv; charset=utf-8", csv_head(), csv_line, csv_end)
NDJSON: Final = Format("ndjson", "application/x-ndjson", "", ndjson_line, ndjson_end)


def routes() -> Sequence[Route]:
    """The routes of the two formats."""
    return (
        *provider_routes("GET", "log.csv", as_csv, is_file=True),
        *provider_routes("GET", "log.ndjson", as_ndjson, is_file=True),
    )


async def as_csv(context: PageContext) -> web.StreamResponse:
    """Download the log as CSV."""
    return await _send(context, CSV)


async def as_ndjson(context: PageContext) -> web.StreamResponse:
    """Download the log as NDJSON."""
    return await _send(context, NDJSON)


async def _send(context: PageContext, file: Format) -> web.StreamResponse:
    continued = "-continued" if context.query.get("page") else ""
    name = f"provisioning-log-{context.now:%Y-%m-%d}{continued}.{file.suffix}"
    headers = {
        **SECURITY,
        "Content-Type": file.content_type,
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Request-Id": context.request_id,
    }
    if not continued:  # the first part stands for the whole export
        await context.record(AuditEvent.ACTION_LOG_EXPORTED)
    return await send(context.request, headers, _parts(context, file))


async def _parts(context: PageContext, file: Format) -> AsyncIterator[str]:
    """The file in parts. If it ends before the log does, its last line says how to continue."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + EXPORT_SECONDS
    request = log_query(context.query).request(context.organization_id)
    left = max_entries(context.query)
    response = await _page(context, request, left)
    yield file.head
    while True:
        for start in range(0, len(response.activities), LINES_PER_PART):
            yield "".join(map(file.line, response.activities[start : start + LINES_PER_PART]))
        left -= len(response.activities)
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token
        if left <= 0 or loop.time() > deadline:
            reason = "This file has reached its limit."
            break
        try:
            response = await _page(context, request, left)
        except RefusedError:
            reason = "The service did not answer."
            break
    rest = urlencode({**context.query, "page": request.page_token})
    address = f"{context.portal.origin}{context.request.path}?{rest}"
    yield file.end(f"{reason} Download the older entries:", address)


async def _page(
    context: PageContext, request: pb.ListActivitiesRequest, left: int
) -> pb.ListActivitiesResponse:
    request.page_size = min(PAGE_SIZE, left)
    return await context.call(context.portal.clients.activities.ListActivities, request)
