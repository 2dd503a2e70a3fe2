"""Whose address a request has behind proxies."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.forwarded import behind


async def seen(proxies: int, *headers: str) -> str:
    """The address that a handler sees, of a request with these X-Forwarded-For headers."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.remote} {await request.text()}")

    app = web.Application()
    app.router.add_post("/", handler)
    behind(app, proxies)
    async with TestClient(TestServer(app)) as client:
        sent = [("X-Forwarded-For", header) for header in headers]
        answer = await client.post("/", headers=sent, data="whole")
        address, body = (await answer.text()).split()
    assert body == "whole"
    return address


@pytest.mark.parametrize(
    ("proxies", "headers", "address"),
    [
        (1, ["203.0.113.7"], "203.0.113.7"),
        (1, ["2001:db8::7"], "2001:db8::7"),
        (1, ["198.51.100.1, 203.0.113.7"], "203.0.113.7"),  # the first is the client's own word
        (1, ["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (2, ["198.51.100.1, 203.0.113.7, 10.0.0.1"], "203.0.113.7"),
        (1, [], "127.0.0.1"),
        (2, ["203.0.113.7"], "127.0.0.1"),  # it came past one of them
        (1, ["<script>"], "127.0.0.1"),
    ],
)
async def test_a_clients_address_is_what_our_outermost_proxy_told(proxies, headers, address):
    assert await seen(proxies, *headers) == address
