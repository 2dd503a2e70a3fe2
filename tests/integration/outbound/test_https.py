"""HTTPS requests to real TLS servers on loopback, honest and hostile."""

import asyncio
import gzip
import ssl
import zlib

import pytest

from gateway.outbound.errors import OutboundReason
from gateway.outbound.https import Limits
from tests.support.chassis.authorities import Authority
from tests.support.outbound.outside import HOST, ORGANIZATION, OTHER, Outside, refusal, request
from tests.support.outbound.servers import (
    Server,
    ok,
    read_request,
    running,
    server_context,
    tls_server,
)
from tests.support.waiting import pace

SHORT = Limits(seconds=0.5)
SMALL = Limits(max_bytes=1_000)


async def test_request_is_sent_and_its_response_is_returned(outside: Outside):
    async with (
        tls_server(outside.certificate(), ok(b"thanks", "X-Kind: answer")) as server,
        outside.clients() as clients,
    ):
        url = f"https://{HOST}:{server.port}/hook?a=b"
        response = await clients.https.send(
            request(url, method="POST", body=b"{}", headers={"webhook-id": "msg_1"})
        )

    assert (response.status, response.body, response.headers["x-kind"]) == (
        200,
        b"thanks",
        "answer",
    )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /hook?a=b HTTP/1.1"
    assert f"Host: {HOST}:{server.port}" in lines
    assert "webhook-id: msg_1" in lines
    assert body == b"{}"


async def test_error_response_is_returned_with_its_status(outside: Outside):
    async with (
        tls_server(outside.certificate(), ok(b"busy", status="503 Service Unavailable")) as server,
        outside.clients() as clients,
    ):
        response = await clients.https.send(request(f"https://{HOST}:{server.port}/"))

    assert (response.status, response.body) == (503, b"busy")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Again", "308 Moved"])
async def test_redirect_is_refused_and_not_followed(outside: Outside, status: str):
    async with tls_server(outside.certificate(), ok(b"secret")) as other:
        location = f"Location: https://{HOST}:{other.port}/"
        async with (
            tls_server(outside.certificate(), ok(b"", location, status=status)) as server,
            outside.clients() as clients,
        ):
            url = f"https://{HOST}:{server.port}/"
            assert await refusal(clients.https.send(request(url))) is OutboundReason.REDIRECTED

    assert other.connections == 0


HUGE = b"0" * 10_000_000
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n" + b"0" * 5_000_000
TOO_LARGE = {
    "declared": ok(HUGE),
    "without a length": ENDLESS,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"fff\r\n" + b"0" * 4095 + b"\r\n" for _ in range(2000)),
    "compressed": ok(gzip.compress(HUGE), "Content-Encoding: gzip"),
    "compressed a little": ok(gzip.compress(bytes(2_000)), "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_body_over_the_limit_is_refused(outside: Outside, name: str):
    async with (
        tls_server(outside.certificate(), TOO_LARGE[name]) as server,
        outside.clients() as clients,
    ):
        call = clients.https.send(request(f"https://{HOST}:{server.port}/", limits=SMALL))
        assert await refusal(call) is OutboundReason.TOO_LARGE


async def test_compressed_body_within_the_limit_is_decompressed(outside: Outside):
    parts = ok(gzip.compress(b"1" * 1_000), "Content-Encoding: gzip")
    async with (
        tls_server(outside.certificate(), parts[:50], parts[50:]) as server,
        outside.clients() as clients,
    ):
        url = f"https://{HOST}:{server.port}/"
        response = await clients.https.send(request(url, limits=SMALL))

    assert response.body == b"1" * 1_000


INVALID = {
    "deflate": ok(zlib.compress(b"1"), "Content-Encoding: deflate"),
    "br": ok(b"1", "Content-Encoding: br"),
    "two encodings": ok(gzip.compress(b"1"), "Content-Encoding: gzip, gzip"),
    "no gzip": ok(b"no gzip", "Content-Encoding: gzip"),
    "incomplete gzip": ok(gzip.compress(b"1")[:-4], "Content-Encoding: gzip"),
    "more after gzip": ok(gzip.compress(b"1") + b"more", "Content-Encoding: gzip"),
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
}


@pytest.mark.parametrize("name", INVALID)
async def test_invalid_response_is_refused(outside: Outside, name: str):
    async with (
        tls_server(outside.certificate(), INVALID[name]) as server,
        outside.clients() as clients,
    ):
        call = clients.https.send(request(f"https://{HOST}:{server.port}/"))
        assert await refusal(call) is OutboundReason.INVALID_RESPONSE


async def test_response_that_ends_early_is_refused(outside: Outside):
    async with (
        tls_server(outside.certificate(), ok(b"12345")[:-2]) as server,
        outside.clients() as clients,
    ):
        call = clients.https.send(request(f"https://{HOST}:{server.port}/"))
        assert await refusal(call) is OutboundReason.CONNECTION_FAILED


@pytest.mark.parametrize(
    "parts", [(), (b"HTTP/1.1 200 OK\r\n",), (b"HTTP/1.1 200 OK\r\n\r\n", b"a")]
)
async def test_slow_server_is_given_up_at_the_limit(outside: Outside, parts: tuple[bytes, ...]):
    end = asyncio.Event()
    async with (
        tls_server(outside.certificate(), *parts, wait=end) as server,
        outside.clients() as clients,
    ):
        call = clients.https.send(request(f"https://{HOST}:{server.port}/", limits=SHORT))
        assert await refusal(call) is OutboundReason.TIMEOUT
        end.set()


async def test_server_that_sends_byte_by_byte_is_given_up_at_the_limit(outside: Outside):
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"0")
            await writer.drain()
            await pace(0.01)

    files = outside.certificate()
    async with (
        running(Server(), drip, server_context(files)) as server,
        outside.clients() as clients,
    ):
        call = clients.https.send(request(f"https://{HOST}:{server.port}/", limits=SHORT))
        assert await refusal(call) is OutboundReason.TIMEOUT


async def test_endless_interim_responses_are_given_up_at_the_limit(outside: Outside):
    async def continues(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await writer.drain()
            await pace(0.01)

    async with (
        running(Server(), continues, server_context(outside.certificate())) as server,
        outside.clients() as clients,
    ):
        call = clients.https.send(request(f"https://{HOST}:{server.port}/", limits=SHORT))
        assert await refusal(call) is OutboundReason.TIMEOUT


async def test_server_without_tls_is_refused(outside: Outside):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"plain"))
        await writer.drain()
        await reader.read()

    async with running(Server(), plain) as server, outside.clients() as clients:
        call = clients.https.send(request(f"https://{HOST}:{server.port}/"))
        assert await refusal(call) is OutboundReason.TLS_FAILED


async def test_certificate_of_another_authority_is_refused(outside: Outside, tmp_path):
    files = Authority("another").issue(tmp_path / "another", HOST)
    async with tls_server(files, ok(b"")) as server, outside.clients() as clients:
        call = clients.https.send(request(f"https://{HOST}:{server.port}/"))
        assert await refusal(call) is OutboundReason.TLS_FAILED

    assert server.requests == []


async def test_certificate_of_another_host_is_refused(outside: Outside):
    files = outside.certificate("another.test")
    async with tls_server(files, ok(b"")) as server, outside.clients() as clients:
        call = clients.https.send(request(f"https://{HOST}:{server.port}/"))
        assert await refusal(call) is OutboundReason.TLS_FAILED

    assert server.requests == []


async def test_tls_below_1_2_is_refused(outside: Outside):
    context = server_context(outside.certificate())
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.record(await read_request(reader))

    server = Server()
    async with running(server, respond, context), outside.clients() as clients:
        call = clients.https.send(request(f"https://{HOST}:{server.port}/"))
        # The server resets the connection, and its TLS alert may be lost.
        assert await refusal(call) in (OutboundReason.TLS_FAILED, OutboundReason.CONNECTION_FAILED)
    assert server.requests == []


async def test_closed_port_is_a_failed_connection(outside: Outside):
    async with tls_server(outside.certificate()) as server, outside.clients() as clients:
        port = server.port
    async with outside.clients() as clients:
        call = clients.https.send(request(f"https://{HOST}:{port}/"))
        assert await refusal(call) is OutboundReason.CONNECTION_FAILED


async def test_organization_at_its_limit_is_refused_and_others_are_served(outside: Outside):
    end = asyncio.Event()
    async with (
        tls_server(outside.certificate(), ok(b"slow")[:-1], wait=end) as slow,
        tls_server(outside.certificate("fast.test"), ok(b"fast")) as fast,
        outside.clients() as clients,
    ):
        outside.names.records["fast.test", "A"] = ["127.0.0.1"]
        url, fast_url = f"https://{HOST}:{slow.port}/", f"https://fast.test:{fast.port}/"
        calls = [asyncio.ensure_future(clients.https.send(request(url))) for _ in range(8)]
        await slow.wait_for(8)

        assert await refusal(clients.https.send(request(fast_url))) is OutboundReason.BUSY
        response = await clients.https.send(request(fast_url, organization_id=OTHER))
        assert response.body == b"fast"
        end.set()
        await asyncio.gather(*calls, return_exceptions=True)
        assert (await clients.https.send(request(fast_url))).body == b"fast"


async def test_requests_to_a_slow_host_delay_no_other_host(outside: Outside):
    end = asyncio.Event()
    async with (
        tls_server(outside.certificate(), wait=end) as slow,
        tls_server(outside.certificate("fast.test"), ok(b"fast")) as fast,
        outside.clients() as clients,
    ):
        outside.names.records["fast.test", "A"] = ["127.0.0.1"]
        url, fast_url = f"https://{HOST}:{slow.port}/", f"https://fast.test:{fast.port}/"
        calls = [
            asyncio.ensure_future(clients.https.send(request(url, organization_id=str(number))))
            for number in range(60)
        ]
        await slow.wait_for(16)

        response = await clients.https.send(request(fast_url))
        assert response.body == b"fast"
        assert len(slow.requests) == 16  # those over the limit of a host wait
        end.set()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_cookie_of_a_response_is_not_sent_again(outside: Outside):
    async with (
        tls_server(outside.certificate(), ok(b"", "Set-Cookie: a=b; Path=/")) as server,
        outside.clients() as clients,
    ):
        for organization in (ORGANIZATION, OTHER):
            url = f"https://{HOST}:{server.port}/"
            await clients.https.send(request(url, organization_id=organization))

    assert len(server.requests) == server.connections == 2
    assert b"cookie" not in server.requests[1].lower()
