"""Reading a response's body up to a limit."""

import gzip
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from gateway.outbound.decompression import read_body
from gateway.outbound.errors import OutboundError, OutboundReason

LIMIT = 1_000
EXPANDED_BYTES = 50_000_000


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_large_expansion_of_a_small_body_is_never_in_memory():
    small = gzip.compress(bytes(EXPANDED_BYTES))
    limit = len(small)
    tracemalloc.start()
    try:
        with pytest.raises(OutboundError) as caught:
            await read_body(chunks(small), "gzip", limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.reason is OutboundReason.TOO_LARGE
    assert peak < EXPANDED_BYTES / 50


@pytest.mark.parametrize("size", [1, 7, 1_000])
async def test_body_in_chunks_of_any_size_is_decompressed(size: int):
    body = bytes(range(200)) * 5
    packed = gzip.compress(body)
    parts = [packed[start : start + size] for start in range(0, len(packed), size)]

    assert await read_body(chunks(*parts), "GZIP", LIMIT) == body
    assert await read_body(chunks(*parts), "identity", LIMIT) == packed
