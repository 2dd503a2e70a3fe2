"""The requests that the client sends, and its checks of unusual responses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tools.entra.client import EntraClient, ServiceIncompatibleError, UnauthorizedError, connect

EMPTY_LIST = (
    '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],'
    ' "totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": []}'
)
ERROR = (
    '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "%s", "detail": "No."}'
)


def scim_response(status: int, text: str, **headers: str) -> web.Response:
    return web.Response(
        status=status, text=text, content_type="application/scim+json", headers=headers
    )


@asynccontextmanager
async def client_of(
    *responses: web.Response,
) -> AsyncIterator[tuple[EntraClient, list[web.Request]]]:
    requests: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        requests.append(request)
        return responses[len(requests) - 1]

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    async with TestServer(app) as server, connect(str(server.make_url("/scim")), "k") as client:
        yield client, requests


async def test_query_is_sent_as_entra_sends_it():
    async with client_of(scim_response(200, EMPTY_LIST)) as (client, requests):
        await client.find("userName", "ann+1@corp.test")

    assert requests[0].raw_path == '/scim/Users?filter=userName+eq+"ann%2B1%40corp.test"'
    assert requests[0].headers["Authorization"] == "Bearer k"
    assert "User-Agent" not in requests[0].headers


async def test_client_repeats_503_after_retry_after():
    unavailable = scim_response(503, ERROR % 503, **{"Retry-After": "0"})
    async with client_of(unavailable, scim_response(200, EMPTY_LIST)) as (client, requests):
        assert await client.find("userName", "ann") is None

    assert len(requests) == 2


async def test_client_stops_at_401_with_detail_of_server():
    async with client_of(scim_response(401, ERROR % 401)) as (client, _):
        with pytest.raises(UnauthorizedError, match=r"401: No\."):
            await client.probe()


@pytest.mark.parametrize(
    "make_response",
    [
        lambda: web.Response(text="<html>Sign in</html>", content_type="text/html"),
        lambda: web.Response(text=EMPTY_LIST, content_type="application/json"),
        lambda: web.Response(status=302, headers={"Location": "/login"}),
        lambda: scim_response(200, "[]"),
        lambda: scim_response(500, "{}"),
    ],
)
async def test_client_rejects_response_that_is_not_scim(make_response):
    async with client_of(make_response()) as (client, _):
        with pytest.raises(ServiceIncompatibleError):
            await client.probe()
