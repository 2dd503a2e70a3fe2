"""Reads a response's body up to a limit, which applies to its decompressed size."""

import zlib
from collections.abc import AsyncIterator
from typing import Final

from gateway.outbound.errors import OutboundError, OutboundReason

ACCEPT_ENCODING: Final = "gzip"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


async def read_body(chunks: AsyncIterator[bytes], encoding: str, limit: int) -> bytes:
    """The body of a response with this Content-Encoding.

    Refuses TOO_LARGE when more than `limit` bytes have arrived or were decompressed, and
    INVALID_RESPONSE for other encodings than gzip and for invalid or incomplete data. At most
    `limit` bytes are decompressed, however small the input is.
    """
    if encoding.lower() in ("", "identity"):
        return await _read_plain(chunks, limit)
    if encoding.lower() not in ("gzip", "x-gzip"):
        raise OutboundError(OutboundReason.INVALID_RESPONSE, "the content encoding is unsupported")
    return await _read_gzip(chunks, limit)


async def _read_plain(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        if len(body) + len(chunk) > limit:
            raise _too_large(limit)
        body += chunk
    return bytes(body)


async def _read_gzip(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    decompressor = zlib.decompressobj(_GZIP_WINDOW)
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            body += decompressor.decompress(chunk, limit + 1 - len(body))
        except zlib.error:
            raise _invalid_gzip() from None
        if received > limit or len(body) > limit:
            raise _too_large(limit)
    if not decompressor.eof or decompressor.unused_data:
        raise _invalid_gzip()
    return bytes(body)


def _too_large(limit: int) -> OutboundError:
    return OutboundError(OutboundReason.TOO_LARGE, f"the response has more than {limit} bytes")


def _invalid_gzip() -> OutboundError:
    return OutboundError(OutboundReason.INVALID_RESPONSE, "the response is not valid gzip")
