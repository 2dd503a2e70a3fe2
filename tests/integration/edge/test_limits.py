"""What the edge keeps off: a real Envoy, as the manifests say, and clients that do too much."""

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
from tests.support.edge.edges import answering_late, us
from tests.support.edge.envoys import Edge, running_edge
from tests.support.k8s.edge import Objects
from tests.support.k8s.edge_objects import bytes_of
from tests.support.waiting import eventually, pace

USERS = floods.PATH
NOBODY = ("127.0.0.1", 1)
CUSTOMERS, REQUESTS = 60, 25
"""Customers of whom each sends what Entra sends in a second."""


@asynccontextmanager
async def refusing(status: int) -> AsyncIterator[tuple[str, int]]:
    """A server that refuses whatever comes, in the gateway's place."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text="in its own words", headers={"Retry-After": "7"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][:2]
    finally:
        await runner.cleanup()


def limited(requests: int) -> Objects:
    """An edge that lets so many requests of an address through in an hour."""
    objects = us()
    for policy in objects.policies.values():
        for rule in policy["rateLimit"]["local"]["rules"]:
            rule["limit"] = {"requests": requests, "unit": "Hour"}
    return objects


def impatient() -> Objects:
    """An edge that waits for half a second where it waits for longer."""
    objects = us()
    objects.client["spec"]["timeout"]["http"]["requestReceivedTimeout"] = "0.5s"
    for route in objects.routes:
        for rule in route["spec"]["rules"]:
            rule["timeouts"]["request"] = "0.5s"
    return objects


async def too_many(folder: Path, path: str) -> aiohttp.ClientResponse:
    with running_edge(limited(1), folder, NOBODY) as edge:
        async with edge.session() as http:
            await http.get(edge.url(path))
            return await read(await http.get(edge.url(path)))


async def nobody_there(folder: Path, path: str) -> aiohttp.ClientResponse:
    with running_edge(us(), folder, NOBODY) as edge:
        async with edge.session() as http:
            return await read(await http.get(edge.url(path)))


async def too_late(folder: Path, path: str) -> aiohttp.ClientResponse:
    async with answering_late(2) as gateway:
        with running_edge(impatient(), folder, gateway) as edge:
            async with edge.session() as http:
                return await read(await http.get(edge.url(path)))


async def too_slow(folder: Path, path: str) -> aiohttp.ClientResponse:
    async def drop_by_drop() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await pace(0.1)  # a slow client

    with running_edge(impatient(), folder, NOBODY) as edge:
        async with edge.session() as http:
            return await read(await http.post(edge.url(path), data=drop_by_drop()))


async def too_large(folder: Path, path: str) -> aiohttp.ClientResponse:
    limit = bytes_of(us().policies["scim"]["requestBuffer"]["limit"])
    with running_edge(us(), folder, NOBODY) as edge:
        async with edge.session() as http:
            return await read(await http.post(edge.url(path), data=b" " * (limit + 1)))


async def read(answer: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    await answer.read()
    return answer


@pytest.mark.parametrize(
    ("ask", "status", "retry_after"),
    [
        (too_slow, 408, None),
        (too_large, 413, None),
        (too_many, 429, "1"),
        (nobody_there, 503, "2"),
        (too_late, 504, "2"),
    ],
)
async def test_what_the_edge_refuses_is_said_in_scims_words_and_when_to_come_again(
    ask, status, retry_after, tmp_path
):
    answer = await ask(tmp_path, USERS)

    assert (answer.status, answer.content_type) == (status, "application/scim+json")
    assert answer.headers.get("Retry-After") == retry_after
    told = await answer.json(content_type=None)
    detail = told.pop("detail")
    assert told == {"schemas": [ERROR_URN], "status": str(status)}
    assert detail.endswith(".")


@pytest.mark.parametrize(("ask", "status"), [(too_many, 429), (nobody_there, 503), (too_late, 504)])
async def test_a_person_in_front_of_a_page_is_told_to_wait(ask, status, tmp_path):
    answer = await ask(tmp_path, "/login/")

    assert (answer.status, answer.content_type) == (status, "text/plain")
    assert "Wait a moment, then load the page again." in await answer.text()
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize("status", [408, 413, 429, 503, 504])
async def test_what_the_gateway_refuses_passes_as_it_is(status, tmp_path):
    async with refusing(status) as gateway:
        with running_edge(us(), tmp_path, gateway) as edge:
            async with edge.session() as http:
                answer = await http.get(edge.url(USERS))
                text = await answer.text()

    assert (answer.status, text) == (status, "in its own words")
    assert answer.headers["Retry-After"] == "7"


async def test_customers_who_come_by_one_address_are_not_refused_for_each_other(tmp_path):
    async with answering_late(0) as gateway:
        with running_edge(us(), tmp_path, gateway) as edge:
            connector = aiohttp.TCPConnector(ssl=edge.context(), limit=CUSTOMERS)
            headers = {"Host": edge.host}
            async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
                url = f"https://127.0.0.1:{edge.port}{USERS}"

                async def customer() -> list[aiohttp.ClientResponse]:
                    return [
                        await read(await http.get(url, server_hostname=edge.host))
                        for _ in range(REQUESTS)
                    ]

                answers = await asyncio.gather(*(customer() for _ in range(CUSTOMERS)))

    assert Counter(one.status for each in answers for one in each) == {200: CUSTOMERS * REQUESTS}
    names = {name.lower() for name in answers[0][0].headers}
    assert not {name for name in names if "ratelimit" in name}  # it would tell of the others


async def test_who_is_over_the_limit_is_refused_before_a_body_is_read(tmp_path):
    with running_edge(limited(1), tmp_path, NOBODY) as edge:
        async with edge.session() as http:
            await http.get(edge.url(USERS))
        reader, writer = await floods.connect(edge, "http/1.1")
        writer.write(f"POST {USERS} HTTP/1.1\r\nHost: {edge.host}\r\n".encode())
        writer.write(b"Content-Length: 1000000\r\n\r\n")

        line = await asyncio.wait_for(reader.readline(), 10)
        writer.transport.abort()

    assert line == b"HTTP/1.1 429 Too Many Requests\r\n"


async def test_a_connection_too_many_is_closed_and_there_is_room_when_one_goes(tmp_path):
    objects = us()
    objects.client["spec"]["connection"]["connectionLimit"]["value"] = 3
    with running_edge(objects, tmp_path, NOBODY) as edge:
        # Until Envoy has seen the end of the one by which the test found it listening.
        first = [await until_let_in(edge) for _ in range(3)]
        fourth = await let_in(edge)
        first.pop()[1].transport.abort()
        fifth = await until_let_in(edge)
        for _, writer in [*first, fifth]:
            writer.transport.abort()

    assert fourth is None


async def let_in(edge: Edge) -> floods.Connection | None:
    """A connection that answers, if there is room for it."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        reader, writer = await floods.connect(edge, "http/1.1")
        writer.write(f"GET {USERS} HTTP/1.1\r\nHost: {edge.host}\r\n\r\n".encode())
        await reader.readexactly(1)
        return reader, writer
    return None


async def until_let_in(edge: Edge) -> floods.Connection:
    return await eventually(lambda: let_in(edge), what="a slot for another connection")


async def test_http_2_has_the_limits_of_the_policy(tmp_path):
    http2 = us().client["spec"]["http2"]
    with running_edge(us(), tmp_path, NOBODY) as edge:
        told = await floods.settings_of(edge)

    streams, window = 3, 4  # RFC 9113 section 6.5.2
    assert told[streams] == http2["maxConcurrentStreams"]
    assert told[window] == bytes_of(http2["initialStreamWindowSize"])


@pytest.mark.parametrize("flood", [floods.over_http_1, floods.over_http_2])
async def test_bodies_without_an_end_do_not_take_the_memory_and_others_are_answered(
    flood: floods.Flood, tmp_path
):
    objects = us()
    container = objects.proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]
    container["resources"]["limits"]["memory"] = "416Mi"
    statuses = Counter[int]()
    async with answering_late(0) as gateway:
        with running_edge(objects, tmp_path, gateway) as edge:
            asking = asyncio.create_task(ask_on(edge, statuses))
            await flood(edge, 400, floods.Pace(100e6))
            asking.cancel()
            async with edge.session() as http:
                after = await http.get(edge.url(USERS))
            peak = edge.peak_memory()

    assert peak < bytes_of("416Mi")
    assert statuses[200] > statuses.total() / 2
    assert after.status == 200


async def ask_on(edge: Edge, statuses: Counter[int]) -> None:
    """Ask as a client that has no part in it; how often it was answered how."""
    while True:
        async with edge.session() as http:
            statuses[(await http.get(edge.url(USERS))).status] += 1
