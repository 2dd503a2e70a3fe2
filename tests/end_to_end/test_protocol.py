"""Whatever comes in, one SCIM answer goes out, and nothing of it that is secret."""

import asyncio
import json
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.end_to_end.scim import SCIM, Client
from tests.stack import Stack

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
MEBIBYTE = 1024 * 1024


async def exchange(stack: Stack, request: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Status line, headers and body of the answer to raw bytes; the connection then ends."""
    address = urlsplit(stack.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    status, *lines = head.strip().split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines)
    body = await reader.readexactly(int(headers[b"content-length"]))
    writer.close()
    return status, headers, body


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /webhooks/ad/v1/scim/Users HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + b"s" * 9_000 + b"\r\n\r\n",
        b"POST /webhooks/ad/v1/scim/Users HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["no http", "no header", "long line", "long header", "no length"],
)
async def test_what_is_no_http_is_refused_in_scim_s_form(tenant: Stack, request_: bytes):
    status, headers, body = await exchange(tenant, request_)

    assert status.split(b" ")[1] == b"400"
    assert headers[b"content-type"] == SCIM.encode()
    assert json.loads(body)["schemas"] == [ERROR]
    assert b"ssss" not in body
    assert "ssss" not in tenant.log("gateway")


async def test_a_body_over_the_limit_is_413(scim: Client):
    reply = await scim("POST", "/Users", b'{"userName": "' + b"a" * MEBIBYTE + b'"}')

    assert (reply.status, reply.document["schemas"]) == (413, [ERROR])


async def test_a_path_outside_the_tenant_url_is_404_and_names_it(tenant: Stack):
    root = tenant.url.removesuffix("/webhooks/ad/v1/scim")
    async with aiohttp.ClientSession() as session, session.get(f"{root}/scim/v2/Users") as reply:
        document = await reply.json(content_type=SCIM)

    assert reply.status == 404
    assert document["status"] == "404"
    assert "/webhooks/ad/v1/scim" in document["detail"]


async def test_every_answer_names_its_request(scim: Client):
    replies = [await scim("GET", path) for path in ("/Users?count=0", "/Users/none", "/Nothing")]

    ids = {reply.headers["X-Request-Id"] for reply in replies}
    assert [reply.status for reply in replies] == [200, 404, 404]
    assert len(ids) == 3


async def test_people_are_not_in_any_log(tenant: Stack, scim: Client):
    name = "Ürsula.Unmistakable@corp.test"
    created = await scim("POST", "/Users", {"userName": name, "name": {"givenName": "Ürsula"}})
    await scim("GET", "/Users?filter=userName+eq+%22%C3%9Crsula.Unmistakable%40corp.test%22")
    await scim("POST", "/Users", {"userName": name})
    await scim("DELETE", f"/Users/{created.document['id']}")

    logs = "".join(tenant.log(process) for process in ("gateway", "usersvc", "keysvc", "postgres"))

    assert created.status == 201
    assert "unmistakable" not in logs.lower()
