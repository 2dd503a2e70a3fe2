"""Streamed file downloads, as fast as the client reads, in limited time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiohttp import web

from gateway.backend.errors import RefusedError
from gateway.http.streaming import ABORT_REASON, abort, abort_reason, end_with_connection

FILE_SECONDS: Final = 60.0
"""The time limit for all parts of a file but the first.

There are few download slots, so a slow client must not hold one for long. The edge ends every
request after 75 seconds.
"""


async def send(
    request: web.Request,
    headers: Mapping[str, str],
    parts: AsyncIterator[str],
    seconds: float = FILE_SECONDS,
) -> web.StreamResponse:
    """Send a file in parts.

    An error in the first part is raised, because nothing has been sent yet. If a later part fails,
    the time limit is exceeded or the client disconnects, the connection is aborted.
    """
    first = await anext(parts)
    response = web.StreamResponse(headers=headers)
    try:
        async with asyncio.timeout(seconds):
            end_with_connection(request, response)
            await response.prepare(request)
            await response.write(first.encode())
            async for part in parts:
                await response.write(part.encode())
                await asyncio.sleep(0)  # a fast client must not delay others
            await response.write_eof()
    except (RefusedError, TimeoutError, ConnectionError) as error:
        response[ABORT_REASON] = abort_reason(error)
        abort(request)
    return response
