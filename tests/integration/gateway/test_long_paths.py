"""Paths with very many segments, which a router could split in quadratic time."""

import aiohttp
import pytest
import structlog
from aiohttp import web
from yarl import URL

from gateway.http.server import MAX_SEGMENTS, Runner


@pytest.fixture
async def routed():
    """A client session, the URL of a server, and the paths that reach its router."""
    reached: list[str] = []

    async def found(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get(r"/{path:[\s\S]*}", found)
    runner = Runner(app, structlog.get_logger())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:
        yield session, f"http://{host}:{port}", reached
    await runner.cleanup()


@pytest.mark.parametrize("segment", ["/", "/a", "/.well-known", "/%61"])
async def test_path_with_too_many_segments_does_not_reach_the_router(routed, segment: str):
    session, base, reached = routed
    statuses = []
    for number in (MAX_SEGMENTS, MAX_SEGMENTS + 1, 2_000):
        url = URL(base + segment * number, encoded=True)
        async with session.get(url) as response:
            statuses.append(response.status)

    assert (statuses, len(reached)) == ([200, 404, 404], 1)
