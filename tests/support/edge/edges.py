"""Edge configuration and a stand-in gateway for tests of the edge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy

from aiohttp import web

from tests.support.k8s.edge import EdgeObjects
from tests.support.k8s.manifests import REGIONS
from tests.support.waiting import pace


def us() -> EdgeObjects:
    """A copy of the production edge of the US region, which a test may change."""
    return deepcopy(EdgeObjects.of("us", REGIONS["us"]))


@asynccontextmanager
async def stand_in_gateway(delay_seconds: float) -> AsyncIterator[tuple[str, int]]:
    """Serve an empty response to every request, after a delay."""

    async def respond(request: web.Request) -> web.Response:
        await request.read()
        await pace(delay_seconds)
        return web.Response()

    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][:2]
    finally:
        await runner.cleanup()
