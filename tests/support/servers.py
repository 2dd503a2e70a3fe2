"""gRPC servers that tests start in their own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc


@asynccontextmanager
async def listening(server: grpc.aio.Server) -> AsyncIterator[int]:
    """Start the server on a free port, and stop it at the end, also when the test fails.

    gRPC requires the stop. A server that still runs when its event loop closes waits for calls in
    gRPC's completion queue, so the queue never drains. Then the process hangs when the last object
    of grpc.aio is dropped, possibly at exit, because this joins the polling thread.
    """
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)
