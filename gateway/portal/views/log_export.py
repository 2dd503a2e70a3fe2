"""The log as a file, sent page by page as it is read."""

from collections.abc import AsyncIterator, Callable, Sequence

from aiohttp import web
from cloudacademy.users.v1 import activity_pb2 as pb

from gateway.errors import RefusedError
from gateway.portal.headers import SECURITY
from gateway.portal.models.exports import csv_head, csv_line, ndjson_line
from gateway.portal.models.log_query import log_query
from gateway.portal.views.log import LOG
from gateway.portal.visit import Route, Visit

PAGE = 1000


def routes() -> Sequence[Route]:
    """Both kinds of files."""
    return (
        Route("GET", f"{LOG}.csv", as_csv, is_file=True),
        Route("GET", f"{LOG}.ndjson", as_ndjson, is_file=True),
    )


async def as_csv(visit: Visit) -> web.StreamResponse:
    """For spreadsheets."""
    return await _send(visit, "csv", "text/csv; charset=utf-8", csv_head(), csv_line)


async def as_ndjson(visit: Visit) -> web.StreamResponse:
    """For programs."""
    return await _send(visit, "ndjson", "application/x-ndjson", "", ndjson_line)


async def _send(
    visit: Visit, suffix: str, content_type: str, head: str, line: Callable[[pb.Activity], str]
) -> web.StreamResponse:
    pages = _pages(visit)
    first = await anext(pages)  # before anything is sent: a refusal is a page then
    name = f"provisioning-log-{visit.now:%Y-%m-%d}.{suffix}"
    response = web.StreamResponse(
        headers={
            **SECURITY,
            "Content-Type": content_type,
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Request-Id": visit.request_id,
        }
    )
    await response.prepare(visit.request)
    await response.write((head + "".join(map(line, first))).encode())
    try:
        async for page in pages:
            await response.write("".join(map(line, page)).encode())
    except RefusedError:
        _break_off(visit.request)
    else:
        await response.write_eof()
    return response


def _break_off(request: web.Request) -> None:
    """End the connection before the file's end, so that half of it is not taken for all."""
    if request.transport is not None:
        request.transport.abort()


async def _pages(visit: Visit) -> AsyncIterator[Sequence[pb.Activity]]:
    request = log_query({**visit.query, "page": ""}).request(visit.organization_id, PAGE)
    while True:
        response = await visit.call(visit.portal.clients.activities.ListActivities, request)
        yield response.activities
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token
