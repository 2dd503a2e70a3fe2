"""The client address of a request that passes our proxies."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.http.client_address import entry_from_end, trust_proxies
from tests.support.growth import reading


async def address_seen(proxies: int, *headers: str) -> str:
    """The client address of a request with these X-Forwarded-For headers, as a handler sees it."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.remote} {await request.text()}")

    app = web.Application()
    app.router.add_post("/", handler)
    trust_proxies(app, proxies)
    async with TestClient(TestServer(app)) as client:
        sent = [("X-Forwarded-For", header) for header in headers]
        response = await client.post("/", headers=sent, data="body")
        address, body = (await response.text()).split()
    assert body == "body"
    return address


@pytest.mark.parametrize(
    ("proxies", "headers", "address"),
    [
        (1, ["203.0.113.7"], "203.0.113.7"),
        (1, ["2001:db8::7"], "2001:db8::7"),
        (1, ["198.51.100.1, 203.0.113.7"], "203.0.113.7"),  # the client itself sent the first entry
        (1, ["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (2, ["198.51.100.1, 203.0.113.7, 10.0.0.1"], "203.0.113.7"),
        (2, ["203.0.113.7", "10.0.0.1"], "203.0.113.7"),
        (3, ["198.51.100.1, 203.0.113.7", "10.0.0.1, 10.0.0.2"], "203.0.113.7"),
        (5, ["198.51.100.1, 203.0.113.7", "10.0.0.1, 10.0.0.2"], "127.0.0.1"),
        (1, ["203.0.113.7,"], "127.0.0.1"),
        (1, [], "127.0.0.1"),
        (2, ["203.0.113.7"], "127.0.0.1"),  # the request bypassed one proxy
        (1, ["<script>"], "127.0.0.1"),
        (1, ["fe80::1%" + "x" * 4_000], "127.0.0.1"),
    ],
)
async def test_client_address_is_the_entry_of_our_outermost_proxy(proxies, headers, address):
    assert await address_seen(proxies, *headers) == address


def test_entries_before_those_of_our_proxies_are_not_read():
    few, many = (["," * 8_000] * lines + ["203.0.113.7, 10.0.0.1"] for lines in (1, 90))
    assert entry_from_end(many, 2) == "203.0.113.7"
    best_few, best_many = (
        min(reading(lambda lines: entry_from_end(lines, 2), each) for _ in range(20))
        for each in (few, many)
    )
    assert best_many < 10 * best_few
