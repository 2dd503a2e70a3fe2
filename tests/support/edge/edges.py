"""What tests of the edge share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy

from aiohttp import web

from tests.support.k8s.edge import Objects
from tests.support.k8s.manifests import REGIONS
from tests.support.waiting import pace


def us() -> Objects:
    """Production's edge of the US, to be changed by a test as it likes."""
    return deepcopy(Objects.of("us", REGIONS["us"]))


@asynccontextmanager
async def answering_late(seconds: float) -> AsyncIterator[tuple[str, int]]:
    """A server that takes its time, in the gateway's place."""

    async def late(request: web.Request) -> web.Response:
        await request.read()
        await pace(seconds)
        return web.Response()

    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", late)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][:2]
    finally:
        await runner.cleanup()
