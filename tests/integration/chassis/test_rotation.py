"""Rotation of certificates during calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import structlog

from chassis.config.settings import Address, CertificateFiles
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect
from tests.support.chassis.authorities import Authority, replace
from tests.support.chassis.callers import Caller, continuous_calls
from tests.support.chassis.echoes import COUNT, ECHO, EchoServer, until

LOG = structlog.wrap_logger(structlog.ReturnLogger())
LOOPBACK = Address("127.0.0.1", 0)


@asynccontextmanager
async def calling(server: EchoServer, files: CertificateFiles) -> AsyncIterator[Caller]:
    """Call continuously with a certificate."""
    async with (
        connect(server.target, {}, Certificates(files, LOG)) as channel,
        continuous_calls(channel) as caller,
    ):
        yield caller


async def wait_for_caller(server: EchoServer, name: str) -> None:
    """Wait until the server logs a call from this caller."""
    await until(lambda: server.logged("call")[-1]["caller"] == name)


async def can_connect(server: EchoServer, files: CertificateFiles) -> bool:
    """Whether a new connection succeeds."""
    async with connect(server.target, {}, Certificates(files, LOG)) as channel:
        try:
            await channel.unary_unary(ECHO)(b"", timeout=5)
        except grpc.aio.AioRpcError:
            return False
    return True


async def test_channel_uses_the_callers_new_certificate_without_a_lost_call(
    authority: Authority, server: EchoServer, tmp_path: Path
):
    files = authority.issue(tmp_path / "caller", "gateway")
    async with calling(server, files) as caller:
        stream = caller.channel.unary_stream(COUNT)(b"")
        first = await stream.read()
        authority.issue(tmp_path / "caller", "search")
        await wait_for_caller(server, "search")
        second = await stream.read()
        stream.cancel()

    assert (first, second) == (b"0", b"1")


async def test_every_channel_of_a_process_uses_the_new_certificate(
    authority: Authority, server: EchoServer, tmp_path: Path
):
    files = authority.issue(tmp_path / "caller", "gateway")
    gateway_certificates = Certificates(files, LOG)
    async with (
        connect(server.target, {}, gateway_certificates) as first,
        connect(server.target, {}, gateway_certificates) as second,
    ):
        authority.issue(tmp_path / "caller", "search")
        for channel in (first, second):
            async with asyncio.timeout(20):
                while not (calls := server.logged("call")) or calls[-1]["caller"] != "search":
                    await channel.unary_unary(ECHO)(b"", timeout=5)
            server.log.clear()


async def test_new_certificate_that_servers_refuse_is_not_used(
    authority: Authority, server: EchoServer, tmp_path: Path
):
    files = authority.issue(tmp_path / "caller", "gateway")
    async with calling(server, files) as caller:
        calls_before = len(server.logged("call"))
        Authority("elsewhere").issue(tmp_path / "caller", "gateway", trusts=authority)
        await caller.wait_for_responses()
        assert not await can_connect(server, files)
        authority.issue(tmp_path / "caller", "search")
        await wait_for_caller(server, "search")

    assert calls_before > 0


async def test_new_connections_get_the_servers_new_certificate(
    authority: Authority, server: EchoServer, tmp_path: Path
):
    after = Authority("after")
    early = authority.issue(tmp_path / "early", "gateway")
    late = authority.issue(tmp_path / "late", "gateway", trusts=after)
    async with calling(server, early):
        before = await can_connect(server, late)
        after.issue(tmp_path / "server", "usersvc", trusts=authority)
        assert (before, await can_connect(server, late)) == (False, True)
        assert not await can_connect(server, early)


async def test_caller_of_a_removed_authority_cannot_connect(
    authority: Authority, server: EchoServer, server_files: CertificateFiles, tmp_path: Path
):
    after = Authority("after")
    early = authority.issue(tmp_path / "early", "gateway")
    late = after.issue(tmp_path / "late", "gateway", trusts=authority)
    before = [await can_connect(server, files) for files in (early, late)]
    replace(server_files.authority, after.pem)
    assert [before, [await can_connect(server, files) for files in (early, late)]] == [
        [True, False],
        [False, True],
    ]


@pytest.mark.parametrize("replaced_file", ["tls.key", "tls.crt"])
async def test_certificate_without_its_key_is_ignored_until_both_changed(
    authority: Authority, server: EchoServer, tmp_path: Path, replaced_file: str
):
    caller_files = authority.issue(tmp_path / "caller", "gateway")
    authority.issue(tmp_path / "next", "usersvc")
    (tmp_path / "next" / replaced_file).replace(tmp_path / "server" / replaced_file)
    assert await can_connect(server, caller_files)
    assert len(server.logged("certificate reload failed")) == 1

    for file in (tmp_path / "next").iterdir():
        file.replace(tmp_path / "server" / file.name)
    assert await can_connect(server, caller_files)
    assert len(server.logged("certificate reloaded")) == 1
