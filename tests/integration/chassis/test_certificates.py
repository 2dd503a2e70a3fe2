"""Mutual TLS between services and their callers."""

import asyncio
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
import structlog

from chassis.config.settings import Address, CertificateFiles, ServerSettings
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect
from chassis.rpc.status import from_rpc_error
from tests.support.chassis.authorities import DAY, Authority
from tests.support.chassis.echoes import COUNT, ECHO, HOLD, EchoServer, echo_server, until

LOG = structlog.wrap_logger(structlog.ReturnLogger())
DEADLINE = 5.0


def caller(server: EchoServer, files: CertificateFiles) -> grpc.aio.Channel:
    return connect(server.target, {}, Certificates(files, LOG))


async def echo(channel: grpc.aio.Channel) -> bytes:
    response: bytes = await channel.unary_unary(ECHO)(b"hello", timeout=DEADLINE)
    return response


async def test_caller_is_logged_by_the_name_in_its_certificate(
    authority: Authority, server: EchoServer, tmp_path: Path
):
    async with caller(server, authority.issue(tmp_path / "c", "search")) as channel:
        assert await echo(channel) == b"hello"

    call = server.logged("call")[0]
    assert (call["caller"], call["outcome"]) == ("search", "OK")


async def test_caller_is_identified_by_a_uri_in_its_certificate(
    authority: Authority, server: EchoServer, tmp_path: Path
):
    files = authority.issue(tmp_path / "c", "gateway", uri="spiffe://test/gateway")
    async with caller(server, files) as channel:
        assert await echo(channel) == b"hello"
        held = asyncio.ensure_future(channel.unary_unary(HOLD)(b"held", timeout=DEADLINE))
        await until(lambda: server.service.held == 1)
        server.service.release.set()
        assert await held == b"held"


@pytest.mark.parametrize("name", ["search", "unknown"])
async def test_caller_that_is_not_listed_for_a_method_is_refused(
    authority: Authority, server: EchoServer, tmp_path: Path, name: str
):
    async with caller(server, authority.issue(tmp_path / "c", name)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await channel.unary_unary(HOLD)(b"", timeout=DEADLINE)
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            await anext(aiter(channel.unary_stream(COUNT)(b"", timeout=DEADLINE)))

    refusals = [from_rpc_error(caught.value) for caught in (unary, stream)]
    assert [(refusal.code, refusal.reason, refusal.metadata) for refusal in refusals] == [
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "CALLER_NOT_ADMITTED",
            {"caller": name, "method": method},
        )
        for method in (HOLD, COUNT)
    ]


async def test_caller_without_a_certificate_cannot_connect(
    server: EchoServer, server_files: CertificateFiles
):
    credentials = grpc.ssl_channel_credentials(server_files.authority.read_bytes())
    async with grpc.aio.secure_channel(server.target, credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await echo(channel)
    async with grpc.aio.insecure_channel(server.target) as plain:
        with pytest.raises(grpc.aio.AioRpcError) as without_tls:
            await echo(plain)

    assert {caught.value.code(), without_tls.value.code()} == {grpc.StatusCode.UNAVAILABLE}
    assert server.service.answered == 0


async def test_caller_with_a_certificate_of_another_authority_cannot_connect(
    authority: Authority, server: EchoServer, tmp_path: Path
):
    files = Authority("elsewhere").issue(tmp_path / "c", "gateway", trusts=authority)
    async with caller(server, files) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await echo(channel)

    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert server.service.answered == 0


async def test_caller_with_an_expired_certificate_cannot_connect(
    authority: Authority, server: EchoServer, tmp_path: Path
):
    files = authority.issue(tmp_path / "c", "gateway", life=-timedelta(seconds=1))
    async with caller(server, files) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await echo(channel)

    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert server.service.answered == 0


@pytest.mark.parametrize(
    ("issuer", "life"),
    [("elsewhere", DAY), ("", -timedelta(seconds=1))],
)
async def test_server_with_an_invalid_certificate_gets_no_call(
    authority: Authority, tmp_path: Path, issuer: str, life: timedelta
):
    signer = Authority(issuer) if issuer else authority
    files = signer.issue(tmp_path / "server", "usersvc", life=life, trusts=authority)
    client_files = authority.issue(tmp_path / "c", "gateway")
    async with (
        echo_server(ServerSettings(Address("127.0.0.1", 0), files)) as server,
        caller(server, client_files) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await echo(channel)

    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert server.service.answered == 0
