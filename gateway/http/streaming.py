"""Sends responses in parts, built as fast as the client reads them, within a time limit."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import METH_HEAD

from gateway.http.responses import ScimResponse
from gateway.scim.errors import ScimError

STREAM_SECONDS: Final = 60.0
"""The time limit for sending a response, so that a slow client does not hold memory.

The edge ends every request after 75 seconds.
"""
WRITE_BYTES: Final = 64 * 1024
"""The most bytes in one write. aiohttp pauses while about this much is still unsent."""
ABORT_REASON: Final = web.ResponseKey("abort_reason", str)
"""Why a response was aborted; the client sees an aborted connection."""


async def send(
    request: web.Request,
    response: web.StreamResponse,
    scim_response: ScimResponse,
    seconds: float = STREAM_SECONDS,
) -> None:
    """Send a response in parts.

    If a later part fails, the time limit is exceeded or the client disconnects, the connection is
    aborted, so that no client mistakes a part for the complete document. ABORT_REASON then says
    why. An unexpected exception is raised after the connection is aborted.
    """
    parts = _parts(scim_response)
    try:
        async with asyncio.timeout(seconds):
            end_with_connection(request, response)
            await response.prepare(request)
            if request.method != METH_HEAD:
                async with aclosing(_chunks(parts)) as chunks:
                    async for chunk in chunks:
                        await response.write(chunk)
                        await asyncio.sleep(0)  # a fast client must not delay others
            await response.write_eof()
    except BaseException as error:
        abort(request)
        response[ABORT_REASON] = abort_reason(error)
        if not isinstance(error, ScimError | TimeoutError | ConnectionError):
            raise
    finally:
        await parts.aclose()
        if scim_response.rest is not None:
            await scim_response.rest.aclose()


def end_with_connection(request: web.Request, response: web.StreamResponse) -> None:
    """Close the connection after an HTTP/1.0 response without Content-Length (RFC 9112, 6.3)."""
    if request.version < HttpVersion11 and "Content-Length" not in response.headers:
        response.force_close()


async def _parts(scim_response: ScimResponse) -> AsyncGenerator[bytes, None]:
    yield scim_response.body
    if scim_response.rest is not None:
        async for part in scim_response.rest:
            yield part


async def _chunks(
    parts: AsyncGenerator[bytes, None],
) -> AsyncGenerator[bytes | memoryview, None]:
    """Join small parts and split large ones, so that no write exceeds WRITE_BYTES."""
    small, size = [], 0
    async for part in parts:
        small.append(part)
        size += len(part)
        if size < WRITE_BYTES:
            continue
        joined = memoryview(b"".join(small) if len(small) > 1 else part)
        for start in range(0, size, WRITE_BYTES):
            yield joined[start : start + WRITE_BYTES]
        small, size = [], 0
    if small:
        yield b"".join(small)


def abort_reason(error: BaseException) -> str:
    """The reason for aborting a response, as in the log."""
    match error:
        case ScimError():
            return "backend_error"
        case TimeoutError():
            return "timeout"
        case ConnectionError():
            return "client_disconnected"
        case asyncio.CancelledError():
            return "shutdown"
        case _:
            return "internal_error"


def abort(request: web.Request) -> None:
    """Abort the connection, so that the client knows that the response is incomplete."""
    if request.transport is not None:
        request.transport.abort()
