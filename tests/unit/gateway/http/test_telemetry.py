"""The metric labels of HTTP requests are from a fixed set, whatever path is requested."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from prometheus_client.parser import text_string_to_metric_families

from chassis.observability.metrics import Metrics
from gateway.api.app import PREFIX
from gateway.http.telemetry import label, measure, route


@pytest.mark.parametrize(
    ("path", "template"),
    [
        (f"{PREFIX}/Users", "/Users"),
        (f"{PREFIX}/Users/", "/Users"),
        (f"{PREFIX}/Users/0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11", "/Users/{id}"),
        (f"{PREFIX}/Groups/.search", "/Groups/.search"),
        (f"{PREFIX}/Bulk", "/Bulk"),
        (PREFIX, "/"),
        ("/readyz", "/readyz"),
        (f"{PREFIX}/ann@corp.test", ""),
        (f"{PREFIX}/Users/a/b", ""),
        ("/wp-login.php", ""),
    ],
)
def test_scim_path_is_counted_under_its_template(path: str, template: str):
    assert route(path, PREFIX) == template


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/people/0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11", "/people/{id}"),
        ("/people/", "/people/"),
        ("/people/a/b", "/people/{rest}"),
        (f"{PREFIX}/Users", "/Users"),
        ("/wp-login.php", ""),
    ],
)
async def test_page_is_counted_under_its_route_template(path: str, template: str):
    async def empty(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    for each in ("/people/", "/people/{id}", "/people/{rest:.*}", "/{path:.*}"):
        app.router.add_get(each, empty)
    request = make_mocked_request("GET", path)
    request._match_info = await app.router.resolve(request)
    assert label(request, PREFIX) == template


async def test_request_is_counted_by_status_and_error_type():
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=int(request.query["status"]))

    app, metrics = web.Application(), Metrics()
    app.router.add_route("*", "/people/", answer)
    measure(app, PREFIX, metrics)
    async with TestClient(TestServer(app)) as client:
        for status in (200, 404, 503):
            await client.get(f"/people/?status={status}")
        await client.request("LOCK", "/people/?status=200")
        await client.get("/wp-login.php")

    name = "http_server_request_duration_seconds_count"
    assert {
        (*(value for _, value in sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name == name
    } == {
        ("", "GET", "200", "/people/", 1.0),
        ("", "GET", "404", "/people/", 1.0),
        ("503", "GET", "503", "/people/", 1.0),
        ("", "_OTHER", "200", "/people/", 1.0),
        ("", "GET", "404", "", 1.0),
    }
