"""Downloads of the log, streamed page by page."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from aiohttp import web
from cloudacademy.users.v1 import activity_pb2 as pb

from gateway.portal.context import PageContext, Route
from gateway.portal.models.log.exports import csv_head, csv_line, ndjson_line
from gateway.portal.models.log.query import log_query
from gateway.portal.views.log import LOG
from gateway.web.download import send
from gateway.web.headers import SECURITY

PAGE_SIZE: Final = 250
"""Entries per RPC. usersvc and the gateway each take about 10 ms for a page."""
LINES_PER_PART: Final = 50
"""Entries that are formatted before other requests get their turn on the event loop."""


def routes() -> Sequence[Route]:
    """The routes of the two formats."""
    return (
        Route("GET", f"{LOG}.csv", as_csv, is_file=True),
        Route("GET", f"{LOG}.ndjson", as_ndjson, is_file=True),
    )


async def as_csv(context: PageContext) -> web.StreamResponse:
    """Download the log as CSV."""
    return await _send(context, "csv", "text/csv; charset=utf-8", csv_head(), csv_line)


async def as_ndjson(context: PageContext) -> web.StreamResponse:
    """Download the log as NDJSON."""
    return await _send(context, "ndjson", "application/x-ndjson", "", ndjson_line)


async def _send(
    context: PageContext,
    suffix: str,
    content_type: str,
    head: str,
    line: Callable[[pb.Activity], str],
) -> web.StreamResponse:
    name = f"provisioning-log-{context.now:%Y-%m-%d}.{suffix}"
    headers = {
        **SECURITY,
        "Content-Type": content_type,
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Request-Id": context.request_id,
    }
    return await send(context.request, headers, _parts(context, head, line))


async def _parts(
    context: PageContext, head: str, line: Callable[[pb.Activity], str]
) -> AsyncIterator[str]:
    request = log_query({**context.query, "page": ""}).request(context.organization_id, PAGE_SIZE)
    while True:
        response = await context.call(context.portal.clients.activities.ListActivities, request)
        yield head + "".join(map(line, response.activities[:LINES_PER_PART]))
        for start in range(LINES_PER_PART, len(response.activities), LINES_PER_PART):
            yield "".join(map(line, response.activities[start : start + LINES_PER_PART]))
        if not response.next_page_token:
            return
        head, request.page_token = "", response.next_page_token
