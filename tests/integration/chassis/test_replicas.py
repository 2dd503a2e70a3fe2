"""Replicas start and stop without lost calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from chassis.config.settings import Address, ServerSettings
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect
from tests.support.chassis.authorities import Authority
from tests.support.chassis.callers import Caller, continuous_calls
from tests.support.chassis.echoes import HOLD, OPEN, EchoServer, echo_server, until
from tests.support.chassis.name_servers import name_server

LOG = structlog.wrap_logger(structlog.ReturnLogger())


@asynccontextmanager
async def replica(host: str, port: int = 0, **limits: int) -> AsyncIterator[EchoServer]:
    async with echo_server(replace(OPEN, listen=Address(host, port), **limits)) as running:
        yield running


@asynccontextmanager
async def two_replicas() -> AsyncIterator[tuple[EchoServer, EchoServer, Caller]]:
    """Two replicas, and a caller that calls both."""
    async with replica("127.0.0.1") as first, replica("127.0.0.2", first.port) as second:
        target = f"ipv4:127.0.0.1:{first.port},127.0.0.2:{first.port}"
        async with connect(target, {}) as channel, continuous_calls(channel) as caller:
            await until(lambda: min(first.service.answered, second.service.answered) > 20)
            yield first, second, caller


async def test_two_replicas_get_about_half_of_the_calls_each():
    async with two_replicas() as (first, second, caller):
        await caller.wait_for_responses(200)
        share = first.service.answered / (first.service.answered + second.service.answered)
    assert 0.35 < share < 0.65


async def test_stopping_replica_loses_no_call():
    async with two_replicas() as (first, second, caller):
        first.stop.set()
        await first.task
        before = second.service.answered
        await caller.wait_for_responses(50)
        assert second.service.answered >= before + 50


async def test_rolling_restart_of_replicas_loses_no_call():
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(replica("127.0.0.1"))
        running = {"127.0.0.1": first}
        running["127.0.0.2"] = await stack.enter_async_context(replica("127.0.0.2", first.port))
        target = f"ipv4:127.0.0.1:{first.port},127.0.0.2:{first.port}"
        async with connect(target, {}) as channel, continuous_calls(channel) as caller:
            for host in list(running) * 2:
                running[host].stop.set()
                await running[host].task
                await caller.wait_for_responses()
                new = await stack.enter_async_context(replica(host, first.port))
                running[host] = new
                await until(lambda new=new: new.service.answered > 20)


async def test_active_call_gets_its_response_when_the_server_stops():
    async with replica("127.0.0.1") as server, connect(server.target, {}) as channel:
        held = asyncio.ensure_future(channel.unary_unary(HOLD)(b"held", timeout=10))
        await until(lambda: server.service.held == 1)
        server.stop.set()
        await until(lambda: bool(server.logged("draining")))
        server.service.release.set()
        assert await held == b"held"


async def test_connection_ends_at_its_maximum_age_without_a_lost_call():
    async with (
        replica("127.0.0.1", connection_seconds=1) as server,
        connect(server.target, {}) as channel,
        continuous_calls(channel) as caller,
    ):
        await until(lambda: len(server.service.peers) >= 3)
        await caller.wait_for_responses()


async def test_new_replica_gets_its_share_of_calls(tmp_path: Path):
    authority = Authority()
    tls = authority.issue(tmp_path / "server", "usersvc.test")
    gateway_certificates = Certificates(authority.issue(tmp_path / "caller", "gateway"), LOG)
    settings = ServerSettings(Address("127.0.0.1", 0), tls, connection_seconds=1)
    async with echo_server(settings) as first, name_server("127.0.0.1") as names:
        second_settings = replace(settings, listen=Address("127.0.0.2", first.port))
        target = f"dns://127.0.0.1:{names.port}/usersvc.test:{first.port}"
        async with (
            connect(target, {}, gateway_certificates) as channel,
            continuous_calls(channel) as caller,
            echo_server(second_settings) as second,
        ):
            await caller.wait_for_responses(100)
            assert second.service.answered == 0
            names.addresses.append("127.0.0.2")
            await until(lambda: second.service.answered > 20)


async def test_server_cancels_a_call_after_its_deadline_or_its_callers_exit():
    async with replica("127.0.0.1") as server:
        async with connect(server.target, {}) as channel:
            overdue = channel.unary_unary(HOLD)(b"", timeout=0.2)
            await until(lambda: server.service.cancelled == 1)
            abandoned = asyncio.ensure_future(channel.unary_unary(HOLD)(b"", timeout=60))
            await until(lambda: server.service.held == 1)
        await until(lambda: server.service.cancelled == 2)
        await until(lambda: len(server.logged("call")) == 2)

    assert [call["outcome"] for call in server.logged("call")] == ["CANCELLED", "CANCELLED"]
    assert (await overdue.code()).name == "DEADLINE_EXCEEDED"
    with pytest.raises(asyncio.CancelledError):
        await abandoned
