"""The labels of HTTP requests are words of ours, whatever is asked for."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.api.app import PREFIX
from gateway.http.telemetry import label, route


@pytest.mark.parametrize(
    ("path", "label"),
    [
        (f"{PREFIX}/Users", "/Users"),
        (f"{PREFIX}/Users/", "/Users"),
        (f"{PREFIX}/Users/0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11", "/Users/{id}"),
        (f"{PREFIX}/Groups/.search", "/Groups/.search"),
        (f"{PREFIX}/Bulk", "/Bulk"),
        (PREFIX, "/"),
        ("/readyz", "/readyz"),
        (f"{PREFIX}/ann@corp.test", "other"),
        (f"{PREFIX}/Users/a/b", "other"),
        ("/wp-login.php", "other"),
    ],
)
def test_a_path_counts_under_its_template(path: str, label: str):
    assert route(path, PREFIX) == label


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/people/0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11", "/people/{id}"),
        ("/people/", "/people/"),
        ("/people/a/b", "/people/{rest}"),
        (f"{PREFIX}/Users", "/Users"),
        ("/wp-login.php", "other"),
    ],
)
async def test_a_page_counts_under_its_own_template(path: str, template: str):
    async def nothing(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    for each in ("/people/", "/people/{id}", "/people/{rest:.*}", "/{path:.*}"):
        app.router.add_get(each, nothing)
    request = make_mocked_request("GET", path)
    request._match_info = await app.router.resolve(request)
    assert label(request, PREFIX) == template
