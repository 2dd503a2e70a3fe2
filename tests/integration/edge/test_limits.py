"""Limits of a real Envoy that is configured from the manifests: each test exceeds one."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.scim.responses import ERROR_URN
from tests.support.edge import floods
from tests.support.edge.edges import stand_in_gateway, us
from tests.support.edge.envoys import Edge, running_edge
from tests.support.k8s.edge import EdgeObjects
from tests.support.k8s.edge_objects import bytes_of
from tests.support.waiting import eventually, pace

USERS = floods.PATH
UNUSED_ADDRESS = ("127.0.0.1", 1)
CUSTOMERS, REQUESTS = 60, 25
"""Each customer sends as many requests as Entra sends per second."""


@asynccontextmanager
async def refusing_gateway(status: int) -> AsyncIterator[tuple[str, int]]:
    """Stand in for the gateway with a server that refuses every request."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text="text of the gateway", headers={"Retry-After": "7"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][:2]
    finally:
        await runner.cleanup()


def with_rate_limit(requests: int) -> EdgeObjects:
    """The objects of an edge that accepts this many requests per hour from each address."""
    objects = us()
    for policy in objects.policies.values():
        for rule in policy["rateLimit"]["local"]["rules"]:
            rule["limit"] = {"requests": requests, "unit": "Hour"}
    return objects


def with_short_timeouts() -> EdgeObjects:
    """The objects of an edge whose timeouts are half a second."""
    objects = us()
    objects.client["spec"]["timeout"]["http"]["requestReceivedTimeout"] = "0.5s"
    for route in objects.routes:
        for rule in route["spec"]["rules"]:
            rule["timeouts"]["request"] = "0.5s"
    return objects


async def send_over_the_rate(folder: Path, path: str) -> aiohttp.ClientResponse:
    with running_edge(with_rate_limit(1), folder, UNUSED_ADDRESS) as edge:
        async with edge.session() as http:
            await http.get(edge.url(path))
            return await read_completely(await http.get(edge.url(path)))


async def send_without_gateway(folder: Path, path: str) -> aiohttp.ClientResponse:
    with running_edge(us(), folder, UNUSED_ADDRESS) as edge:
        async with edge.session() as http:
            return await read_completely(await http.get(edge.url(path)))


async def send_to_slow_gateway(folder: Path, path: str) -> aiohttp.ClientResponse:
    async with stand_in_gateway(2) as gateway:
        with running_edge(with_short_timeouts(), folder, gateway) as edge:
            async with edge.session() as http:
                return await read_completely(await http.get(edge.url(path)))


async def send_slow_body(folder: Path, path: str) -> aiohttp.ClientResponse:
    async def slow_body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await pace(0.1)  # a slow client

    with running_edge(with_short_timeouts(), folder, UNUSED_ADDRESS) as edge:
        async with edge.session() as http:
            return await read_completely(await http.post(edge.url(path), data=slow_body()))


async def send_large_body(folder: Path, path: str) -> aiohttp.ClientResponse:
    limit = bytes_of(us().policies["scim"]["requestBuffer"]["limit"])
    with running_edge(us(), folder, UNUSED_ADDRESS) as edge:
        async with edge.session() as http:
            return await read_completely(await http.post(edge.url(path), data=b" " * (limit + 1)))


async def read_completely(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    await response.read()
    return response


@pytest.mark.parametrize(
    ("send_request", "status", "retry_after"),
    [
        (send_slow_body, 408, None),
        (send_large_body, 413, None),
        (send_over_the_rate, 429, "1"),
        (send_without_gateway, 503, "2"),
        (send_to_slow_gateway, 504, "2"),
    ],
)
async def test_edge_refusal_is_a_scim_error_with_retry_after(
    send_request, status, retry_after, tmp_path
):
    response = await send_request(tmp_path, USERS)

    assert (response.status, response.content_type) == (status, "application/scim+json")
    assert response.headers.get("Retry-After") == retry_after
    error = await response.json(content_type=None)
    detail = error.pop("detail")
    assert error == {"schemas": [ERROR_URN], "status": str(status)}
    assert detail.endswith(".")


@pytest.mark.parametrize(
    ("send_request", "status"),
    [(send_over_the_rate, 429), (send_without_gateway, 503), (send_to_slow_gateway, 504)],
)
async def test_edge_refusal_of_a_page_is_plain_text_with_retry_advice(
    send_request, status, tmp_path
):
    response = await send_request(tmp_path, "/login/")

    assert (response.status, response.content_type) == (status, "text/plain")
    assert "Wait a moment, then load the page again." in await response.text()
    assert response.headers["Retry-After"]


@pytest.mark.parametrize("status", [408, 413, 429, 503, 504])
async def test_refusal_by_the_gateway_passes_the_edge_unchanged(status, tmp_path):
    async with refusing_gateway(status) as gateway:
        with running_edge(us(), tmp_path, gateway) as edge:
            async with edge.session() as http:
                response = await http.get(edge.url(USERS))
                text = await response.text()

    assert (response.status, text) == (status, "text of the gateway")
    assert response.headers["Retry-After"] == "7"


async def test_customers_behind_one_address_are_not_rate_limited(tmp_path):
    async with stand_in_gateway(0) as gateway:
        with running_edge(us(), tmp_path, gateway) as edge:
            connector = aiohttp.TCPConnector(ssl=edge.context(), limit=CUSTOMERS)
            headers = {"Host": edge.host}
            async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
                url = f"https://127.0.0.1:{edge.port}{USERS}"

                async def customer() -> list[aiohttp.ClientResponse]:
                    return [
                        await read_completely(await http.get(url, server_hostname=edge.host))
                        for _ in range(REQUESTS)
                    ]

                responses = await asyncio.gather(*(customer() for _ in range(CUSTOMERS)))

    assert Counter(response.status for each in responses for response in each) == {
        200: CUSTOMERS * REQUESTS
    }
    names = {name.lower() for name in responses[0][0].headers}
    # Such headers would reveal the traffic of other customers.
    assert not {name for name in names if "ratelimit" in name}


async def test_request_over_the_rate_is_refused_before_its_body_is_read(tmp_path):
    with running_edge(with_rate_limit(1), tmp_path, UNUSED_ADDRESS) as edge:
        async with edge.session() as http:
            await http.get(edge.url(USERS))
        reader, writer = await floods.connect(edge, "http/1.1")
        writer.write(f"POST {USERS} HTTP/1.1\r\nHost: {edge.host}\r\n".encode())
        writer.write(b"Content-Length: 1000000\r\n\r\n")

        line = await asyncio.wait_for(reader.readline(), 10)
        writer.transport.abort()

    assert line == b"HTTP/1.1 429 Too Many Requests\r\n"


async def test_connection_over_the_limit_is_closed_until_a_slot_is_free(tmp_path):
    objects = us()
    objects.client["spec"]["connection"]["connectionLimit"]["value"] = 3
    with running_edge(objects, tmp_path, UNUSED_ADDRESS) as edge:
        # Retry: Envoy may still count the connection that checked whether it listens.
        first = [await connect_when_accepted(edge) for _ in range(3)]
        fourth = await connect_if_accepted(edge)
        first.pop()[1].transport.abort()
        fifth = await connect_when_accepted(edge)
        for _, writer in [*first, fifth]:
            writer.transport.abort()

    assert fourth is None


async def connect_if_accepted(edge: Edge) -> floods.Connection | None:
    """Open a connection and get a response on it; None if the edge closes the connection."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        reader, writer = await floods.connect(edge, "http/1.1")
        writer.write(f"GET {USERS} HTTP/1.1\r\nHost: {edge.host}\r\n\r\n".encode())
        await reader.readexactly(1)
        return reader, writer
    return None


async def connect_when_accepted(edge: Edge) -> floods.Connection:
    return await eventually(lambda: connect_if_accepted(edge), what="a slot for another connection")


async def test_edge_announces_the_http_2_settings_of_its_policy(tmp_path):
    http2 = us().client["spec"]["http2"]
    with running_edge(us(), tmp_path, UNUSED_ADDRESS) as edge:
        settings = await floods.settings_of(edge)

    streams, window = 3, 4  # RFC 9113 section 6.5.2
    assert settings[streams] == http2["maxConcurrentStreams"]
    assert settings[window] == bytes_of(http2["initialStreamWindowSize"])


@pytest.mark.parametrize("flood", [floods.over_http_1, floods.over_http_2])
async def test_unfinished_bodies_do_not_exhaust_memory_or_block_others(
    flood: floods.Flood, tmp_path
):
    objects = us()
    container = objects.proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]
    container["resources"]["limits"]["memory"] = "416Mi"
    statuses = Counter[int]()
    async with stand_in_gateway(0) as gateway:
        with running_edge(objects, tmp_path, gateway) as edge:
            other_client = asyncio.create_task(keep_sending(edge, statuses))
            await flood(edge, 400, floods.Pace(100e6))
            other_client.cancel()
            async with edge.session() as http:
                after = await http.get(edge.url(USERS))
            peak = edge.peak_memory()

    assert peak < bytes_of("416Mi")
    assert statuses[200] > statuses.total() / 2
    assert after.status == 200


async def keep_sending(edge: Edge, statuses: Counter[int]) -> None:
    """Send requests as a client outside the flood, and count the statuses of the responses."""
    while True:
        async with edge.session() as http:
            statuses[(await http.get(edge.url(USERS))).status] += 1
