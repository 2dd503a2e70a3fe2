"""HTTP at the edge of SCIM: every response is SCIM, and no log has secrets or personal data."""

import asyncio
import json
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest

from tests.support import raw_http
from tests.support.scim import SCIM, Client
from tests.support.scim_documents import ERROR
from tests.support.stack import Stack

MEBIBYTE = 1024 * 1024


async def send_raw(stack: Stack, request: bytes) -> raw_http.Response:
    """Send bytes over a new connection, and return the response to them."""
    connection = await raw_http.connect(raw_http.address_of(stack.url))
    connection.send(request)
    response = await connection.response()
    connection.close()
    return response


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /webhooks/ad/v1/scim/Users HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + b"s" * 9_000 + b"\r\n\r\n",
        b"POST /webhooks/ad/v1/scim/Users HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["not HTTP", "no colon", "long request line", "long header", "invalid length"],
)
async def test_malformed_http_is_400_with_scim_error(tenant: Stack, request_: bytes):
    status, headers, body = await send_raw(tenant, request_)

    assert status == 400
    assert headers["Content-Type"] == SCIM
    assert json.loads(body)["schemas"] == [ERROR]
    assert b"ssss" not in body
    assert "ssss" not in tenant.log("gateway")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"Authorization: Bearer caf\xe9", 401),
        (b'Authorization: Bearer KEY\r\nIf-Match: W/"\xe9"', 400),
        (b'Authorization: Bearer KEY\r\nIf-Match: ""', 400),
        (b"Authorization: Bearer KEY\r\nContent-Encoding: gzip", 415),
    ],
    ids=["token", "entity tag", "empty entity tag", "content encoding"],
)
async def test_invalid_header_value_is_refused_with_scim_error(
    tenant: Stack, header: bytes, status: int
):
    path = urlsplit(tenant.url).path.encode()
    request = b"PUT %s/Users/%s HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n%s\r\n\r\n{}" % (
        path,
        str(uuid4()).encode(),
        header.replace(b"KEY", tenant.token.encode()),
    )

    found, headers, body = await send_raw(tenant, request)

    assert found == status
    assert headers["Content-Type"] == SCIM
    assert json.loads(body)["schemas"] == [ERROR]


async def test_redundant_slashes_and_escapes_in_tenant_url_are_accepted(tenant: Stack):
    path = b"//webhooks//%61d/v1/scim/ServiceProviderConfig/"

    status, _, _ = await send_raw(tenant, b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)

    assert status == 200


@pytest.mark.parametrize("path", ["/Users/%0A", "/Schemas/a%0D%0Ab", "/%0A", "/Users/%E2%80%A8"])
async def test_path_with_line_break_is_404_with_scim_error(scim: Client, path: str):
    reply = await scim("GET", path)

    assert (reply.status, reply.document["schemas"]) == (404, [ERROR])


async def test_head_has_headers_of_get_and_no_body(scim: Client):
    get, head = await scim("GET", "/Users?count=0"), await scim("HEAD", "/Users?count=0")

    assert (head.status, head.document) == (200, None)
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


async def test_repeated_query_parameter_is_refused(scim: Client):
    reply = await scim("GET", "/Users?count=1&count=2")

    assert (reply.status, reply.document["scimType"]) == (400, "invalidSyntax")


@pytest.mark.parametrize(
    ("query", "scim_type"),
    [
        ("filter=manager.$ref+eq+%22x%22", "invalidFilter"),
        ("filter=meta.location+eq+%22x%22", "invalidFilter"),
        ("sortBy=name", "invalidValue"),
        ("sortBy=manager.$ref", "invalidValue"),
        ("sortBy=schemas", "invalidValue"),
        ("sortBy=addresses", "invalidValue"),
        ("sortBy=groups", "invalidValue"),
        ("sortBy=nothing", "invalidValue"),
        ("sortBy=title&sortOrder=sideways", "invalidValue"),
    ],
)
async def test_filter_or_sort_by_unsupported_attribute_is_refused(
    scim: Client, query: str, scim_type: str
):
    reply = await scim("GET", f"/Users?{query}")

    assert (reply.status, reply.document["scimType"]) == (400, scim_type)
    assert "enterprise." not in reply.document["detail"]


async def test_every_request_is_logged_without_values_of_its_path(tenant: Stack, scim: Client):
    root = tenant.url.removesuffix("/webhooks/ad/v1/scim")
    below_scim = await scim("GET", f"/Users/{tenant.token}")
    async with aiohttp.ClientSession() as session, session.get(f"{root}/unheard-of") as elsewhere:
        request_ids = [below_scim.headers["X-Request-Id"], elsewhere.headers["X-Request-Id"]]

    log = tenant.log("gateway")

    assert (below_scim.status, elsewhere.status) == (404, 404)
    assert all(request_id in log for request_id in request_ids)
    assert not any(value in log for value in (tenant.token, "unheard-of"))


async def test_concurrent_patches_are_all_applied_or_refused_with_503(scim: Client):
    created = await scim("POST", "/Users", {"userName": f"{uuid4().hex}@corp.test"})
    path = f"/Users/{created.document['id']}"
    types = [f"type{number}" for number in range(8)]

    def add_email(type_: str) -> dict[str, object]:
        value = [{"type": type_, "value": f"{type_}@corp.test"}]
        return {"Operations": [{"op": "add", "path": "emails", "value": value}]}

    replies = await asyncio.gather(*(scim("PATCH", path, add_email(type_)) for type_ in types))
    read = await scim("GET", path)

    applied = {type_ for type_, reply in zip(types, replies, strict=True) if reply.status == 200}
    refused = [reply for reply in replies if reply.status != 200]
    assert {email["type"] for email in read.document["emails"]} == applied
    assert all((reply.status, reply.headers["Retry-After"]) == (503, "2") for reply in refused)


async def test_body_over_the_limit_is_413(scim: Client):
    reply = await scim("POST", "/Users", b'{"userName": "' + b"a" * MEBIBYTE + b'"}')

    assert (reply.status, reply.document["schemas"]) == (413, [ERROR])


async def test_path_outside_tenant_url_is_404_and_names_tenant_url(tenant: Stack):
    root = tenant.url.removesuffix("/webhooks/ad/v1/scim")
    async with aiohttp.ClientSession() as session, session.get(f"{root}/scim/v2/Users") as reply:
        document = await reply.json(content_type=SCIM)

    assert reply.status == 404
    assert document["status"] == "404"
    assert "/webhooks/ad/v1/scim" in document["detail"]


async def test_every_response_has_its_own_request_id(scim: Client):
    replies = [await scim("GET", path) for path in ("/Users?count=0", "/Users/none", "/Nothing")]

    ids = {reply.headers["X-Request-Id"] for reply in replies}
    assert [reply.status for reply in replies] == [200, 404, 404]
    assert len(ids) == 3


async def test_names_of_users_are_not_logged(tenant: Stack, scim: Client):
    name = "Ürsula.Unmistakable@corp.test"
    created = await scim("POST", "/Users", {"userName": name, "name": {"givenName": "Ürsula"}})
    await scim("GET", "/Users?filter=userName+eq+%22%C3%9Crsula.Unmistakable%40corp.test%22")
    await scim("POST", "/Users", {"userName": name})
    await scim("DELETE", f"/Users/{created.document['id']}")

    logs = "".join(tenant.log(process) for process in ("gateway", "usersvc", "keysvc", "postgres"))

    assert created.status == 201
    assert "unmistakable" not in logs.lower()
