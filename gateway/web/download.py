"""Files that are sent as they are made: at the pace of whoever reads them, and not for ever."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiohttp import web

from gateway.backend.errors import RefusedError
from gateway.http.streaming import BROKEN_OFF, abort, cause, end_with_connection

FILE_SECONDS: Final = 60.0
"""For all of a file but its first part. Files have few places, which nobody is to keep by reading
a little now and then. The edge ends every request after 75 seconds."""


async def send(
    request: web.Request,
    headers: Mapping[str, str],
    parts: AsyncIterator[str],
    seconds: float = FILE_SECONDS,
) -> web.StreamResponse:
    """Send a file. What refuses its first part is raised, as nothing is sent by then.

    It is broken off when a later part is refused, its time is over or its reader leaves.
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
                await asyncio.sleep(0)  # a fast reader must not hold up others
            await response.write_eof()
    except (RefusedError, TimeoutError, ConnectionError) as error:
        response[BROKEN_OFF] = cause(error)
        abort(request)
    return response
