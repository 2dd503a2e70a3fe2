"""Requests that are cheap to send and costly to process are refused without delaying others."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.support import raw_http
from tests.support.process_memory import MEBIBYTE, peak_bytes
from tests.support.stack import Stack

PATH = b"/webhooks/ad/v1/scim"
DEEP = 100_000
WAIT_SECONDS = 5.0
"""The time limit for a request of another client meanwhile, enough on a busy machine."""
GROWTH_BYTES = 256 * MEBIBYTE
"""The most memory by which the gateway may grow during all tests of this module."""

SCIM = b"Host: a\r\nAuthorization: Bearer KEY\r\nContent-Type: application/scim+json\r\n"
FORM = b"Host: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
QUOTES = b"Host: a\r\nContent-Type: %s\r\n" % (b'"' * 8_000)
FILES = b"Host: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
SIGN_ON = b"/labs/social/complete/saml/"


def raw_request(line: bytes, head: bytes, body: bytes) -> bytes:
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return line + b" HTTP/1.1\r\n" + head + length + body


def post(path: bytes, body: bytes | object) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return raw_request(b"POST " + PATH + path, SCIM, data)


def patch(body: object) -> bytes:
    return raw_request(b"PATCH " + PATH + b"/Users/x", SCIM, json.dumps(body).encode())


def chunked(chunks: bytes) -> bytes:
    head = b"POST " + PATH + b"/Users HTTP/1.1\r\n" + SCIM + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + chunks


def get(target: bytes, headers: bytes = b"") -> bytes:
    return b"GET " + PATH + target + b" HTTP/1.1\r\n" + SCIM + headers + b"\r\n"


def nested(opening: bytes, closing: bytes, depth: int = DEEP) -> bytes:
    return b'{"userName": ' + opening * depth + b"1" + closing * depth + b"}"


def in_bulk(data: bytes) -> bytes:
    operation = b'{"method": "POST", "path": "/Users", "bulkId": "a", "data": %s}' % data
    return b'{"Operations": [%s]}' % operation


def packed(size: int) -> bytes:
    """Spaces, compressed by gzip; `size` is in MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * MEBIBYTE) for _ in range(size)) + packer.flush()


def passwords(depth: int) -> bytes:
    """Nested objects named as passwords, around a text that is costly to case-fold."""
    text = "\u0378".encode() * (400_000 - 20 * depth)
    return b'{"password":1,"path":' * depth + b'"%s"' % text + b"}" * depth


HIDDEN_PASSWORDS = b'{"userName":[],"a":[%s1]}' % (b'{"p\\u0061ssword":1},' * 40_000)
BULK_OF_UNKNOWN_IDS = [
    {"method": "PUT", "path": f"/Users/bulkId:{n}", "data": {"x": f"bulkId:{n}"}}
    for n in range(2_000)
]

# Each request and the status of its refusal.
COSTLY_REQUESTS = {
    "arrays in arrays": (post(b"/Users", nested(b"[", b"]")), 400),
    "unclosed arrays": (post(b"/Users", b"[" * 500_000), 413),
    "objects in objects": (post(b"/Users", nested(b'{"a":', b"}")), 400),
    "deeper than any message": (post(b"/Users", nested(b"[", b"]", 40)), 400),
    "deep in a bulk request": (post(b"/Bulk", in_bulk(nested(b'{"a":', b"}", 900))), 400),
    "deep in a query": (post(b"/.search", nested(b"[", b"]", 900)), 400),
    "more objects than a group has members": (post(b"/Users", b"{}," * 150_000), 413),
    "80,000 members": (post(b"/Users", {f"k{n}": 1 for n in range(80_000)}), 400),
    "a member twice": (post(b"/Users", b'{"userName": "a", "userName": "b"}'), 400),
    "500,000 values": (post(b"/Users", {"userName": "a", "emails": [1] * 300_000}), 400),
    "a number that overflows": (post(b"/Users", b'{"userName": 1e999999}'), 400),
    "a number of a million digits": (
        post(b"/Users", b'{"userName": %s}' % (b"9" * 1_000_000)),
        400,
    ),
    "a count of a million digits": (post(b"/.search", {"count": "9" * 1_000_000}), 400),
    "invalid UTF-8": (post(b"/Users", b'{"userName": "\xff"}'), 400),
    "UTF-16": (post(b"/Users", '{"userName": "a"}'.encode("utf-16")), 400),
    "an unpaired surrogate": (post(b"/Users", b'{"userName": "\\ud800"}'), 400),
    "NUL in a value": (post(b"/Users", b'{"userName": "\\u0000"}'), 400),
    "a million backslashes": (post(b"/Users", b'{"userName": "' + b"\\" * 1_000_001), 400),
    "a million quotes": (post(b"/Users", b'"' * MEBIBYTE), 413),
    "240,000 strings": (post(b"/Users", {"userName": "a", "emails": [""] * 240_000}), 413),
    "a bulk path of escapes": (
        post(b"/Bulk", {"Operations": [{"method": "DELETE", "path": "/Users" + "/%41" * 250_000}]}),
        200,
    ),
    "20,000 operations": (patch({"Operations": [{"op": "add", "value": {}}] * 20_000}), 413),
    "2,000 operations in bulk": (post(b"/Bulk", {"Operations": BULK_OF_UNKNOWN_IDS}), 413),
    "a body that is too large": (post(b"/Users", b'{"userName": "%s"}' % (b"a" * MEBIBYTE)), 413),
    "parentheses": (post(b"/.search", {"filter": "(" * 8_000}), 400),
    "negations": (post(b"/.search", {"filter": "not (" * 1_600}), 400),
    "conditions": (post(b"/.search", {"filter": " or ".join(["active pr"] * 600)}), 400),
    "an unclosed string": (post(b"/.search", {"filter": 'title eq "' + "\\" * 8_000}), 400),
    "spaces": (post(b"/.search", {"filter": "title" + " " * 8_000}), 400),
    "dots": (post(b"/.search", {"filter": "a." * 4_000}), 400),
    "a filter that is too long": (post(b"/.search", {"filter": "a" * 1_000_000}), 400),
    "attributes": (post(b"/.search", {"attributes": ["a,a"] * 100_000}), 400),
    "an address that is too long": (get(b"/Users?filter=" + b"a" * 40_000), 400),
    "a path of slashes": (get(b"/" * 30_000), 404),
    "a path of segments": (get(b"/a" * 15_000), 404),
    "20,000 headers": (get(b"/Users", b"".join(b"X%d: y\r\n" % n for n in range(20_000))), 400),
    "a header that is too long": (get(b"/Users", b"X: " + b"y" * 100_000 + b"\r\n"), 400),
    "entity tags": (get(b"/Users/x", b'If-None-Match: "a"' + b" ," * 3_000 + b"\r\n"), 404),
    "chunks over the limit": (
        chunked(b"80000\r\n%s\r\n" % (b"a" * 0x80000) * 4 + b"0\r\n\r\n"),
        413,
    ),
    "trailers": (chunked(b"1\r\na\r\n0\r\n" + b"X: y\r\n" * 300_000 + b"\r\n"), 400),
    "fields of a form": (raw_request(b"POST /login/link", FORM, b"a&" * 500_000), 413),
    "a form over the limit": (
        raw_request(b"POST /login/link", FORM, b"a=" + b"%41" * 300_000),
        413,
    ),
    "percent-escapes in a form": (
        raw_request(b"POST /login/link", FORM, b"a=" + b"%41" * 40_000),
        403,
    ),
    "quotation marks in a media type": (raw_request(b"POST /login/link", QUOTES, b"a=b"), 403),
    "escapes in a password's name": (post(b"/Users", HIDDEN_PASSWORDS), 400),
    "names of passwords, 240 deep": (post(b"/Users", passwords(240)), 400),
    "names of passwords, 900 deep": (post(b"/Users", passwords(900)), 400),
    "parts of a form": (raw_request(b"POST /login/link", FILES, PART * 18_000 + b"--b--\r\n"), 403),
    "headers of a part": (
        raw_request(b"POST /login/link", FILES, b"--b\r\n" + b"X: y\r\n" * 150_000),
        403,
    ),
    "a form that is too large": (
        raw_request(b"POST /login/link", FORM, b"a=" + b"b" * MEBIBYTE),
        413,
    ),
    "fields of a sign-in": (raw_request(b"POST " + SIGN_ON, FORM, b"a&" * 100_000), 403),
    "escapes of a sign-in": (raw_request(b"POST " + SIGN_ON, FORM, b"a=" + b"%41" * 170_000), 403),
    "parts of a sign-in": (
        raw_request(b"POST " + SIGN_ON, FILES, PART * 1_000 + b"--b--\r\n"),
        400,
    ),
    "a sign-in that is too large": (
        raw_request(b"POST " + SIGN_ON, FORM, b"a=" + b"b" * MEBIBYTE),
        413,
    ),
}


async def status_of(stack: Stack, request: bytes) -> int:
    """The status of the response to raw bytes."""
    connection = await raw_http.connect(raw_http.address_of(stack.url))
    connection.send(request.replace(b"KEY", stack.token.encode(), 1))
    try:
        return (await connection.response()).status
    finally:
        connection.close()


@asynccontextmanager
async def another_client(stack: Stack) -> AsyncIterator[None]:
    """Send requests during the block, and once more after it; assert that each gets 200."""
    done = asyncio.Event()

    async def send_requests() -> None:
        timeout = aiohttp.ClientTimeout(total=WAIT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                last = done.is_set()
                async with session.get(f"{stack.base_url}/healthz") as response:
                    assert response.status == 200
                if last:
                    return

    sending = asyncio.create_task(send_requests())
    yield
    done.set()
    await sending


@pytest.fixture(scope="module", autouse=True)
def bounded_memory(tenant: Stack) -> Iterator[None]:
    """Assert that the gateway grows by less than GROWTH_BYTES during all tests of this module."""
    pid = tenant.pid("gateway")
    before = peak_bytes(pid)
    yield
    assert peak_bytes(pid) - before < GROWTH_BYTES


@pytest.mark.parametrize(("costly", "status"), COSTLY_REQUESTS.values(), ids=COSTLY_REQUESTS)
async def test_costly_request_is_refused_and_others_are_answered(
    tenant: Stack, costly: bytes, status: int
):
    async with another_client(tenant):
        assert await status_of(tenant, costly) == status


@pytest.mark.parametrize("key", ["KEY", "nonsense"])
async def test_compressed_body_is_refused_without_unpacking(tenant: Stack, key: str):
    body = packed(1_000)
    head = SCIM.replace(b"KEY", key.encode()) + b"Content-Encoding: gzip\r\n"
    request = raw_request(b"POST " + PATH + b"/Users", head, body)
    assert len(body) < MEBIBYTE
    async with another_client(tenant):
        statuses = await asyncio.gather(*(status_of(tenant, request) for _ in range(10)))
    assert set(statuses) == {415 if key == "KEY" else 401}


async def test_costly_requests_cause_no_internal_error(tenant: Stack):
    assert '"event":"internal error"' not in tenant.log("gateway")
