"""Channels avoid replicas that do not respond, and recover when a name resolves again."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from structlog.testing import LogCapture

from chassis.concurrency.supervisor import Supervisor
from chassis.config.settings import Address, ServerSettings
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import connect
from tests.support.chassis.authorities import Authority
from tests.support.chassis.echoes import ECHO, echo_server, until
from tests.support.chassis.name_servers import name_server
from tests.support.chassis.named_replica import Replica, replica

LOG = structlog.wrap_logger(structlog.ReturnLogger())
CALLS = 30
QUERIES = 6
"""The resolver of gRPC sends as many queries in 26 seconds, because its pauses grow."""


@dataclass
class Channel:
    """A channel and the entries of its log."""

    channel: grpc.aio.Channel
    log: list[Any]

    async def call(self, seconds: float = 20.0) -> bytes:
        response: bytes = await self.channel.unary_unary(ECHO)(b"", timeout=seconds)
        return response

    async def responders(self) -> set[bytes]:
        """The replicas that answered CALLS calls."""
        return {await self.call() for _ in range(CALLS)}

    def reasons(self) -> list[str]:
        """The reasons of replacements so far."""
        return [entry["reason"] for entry in self.log if entry["event"] == "connection replaced"]


@asynccontextmanager
async def connected(
    target: str, certificates: Certificates | None = None
) -> AsyncIterator[Channel]:
    capture = LogCapture()
    log = structlog.wrap_logger(None, [capture], structlog.make_filtering_bound_logger(0))
    async with connect(target, {}, certificates, tasks=Supervisor(log)) as channel:
        yield Channel(channel, capture.entries)


@pytest.mark.parametrize(
    ("stop", "start"),
    [
        (Replica.stop_event_loop, Replica.start_event_loop),
        (
            lambda stuck: stuck.process.send_signal(signal.SIGSTOP),
            lambda stuck: stuck.process.send_signal(signal.SIGCONT),
        ),
    ],
    ids=["event loop stopped", "process stopped"],
)
async def test_calls_avoid_a_stuck_replica_until_it_responds(
    stop: Callable[[Replica], None], start: Callable[[Replica], None]
):
    async with replica("first") as stuck, replica("second") as healthy:
        target = f"ipv4:127.0.0.1:{stuck.port},127.0.0.1:{healthy.port}"
        async with connected(target) as channel:
            await until(lambda: channel.channel.get_state() is grpc.ChannelConnectivity.READY)
            assert await channel.responders() == {b"first", b"second"}

            stop(stuck)
            await until(lambda: channel.reasons() == ["no response"])
            assert await channel.responders() == {b"second"}

            start(stuck)
            async with asyncio.timeout(60):
                while await channel.call() != b"first":
                    pass


async def test_channel_with_only_a_stuck_replica_is_kept():
    async with replica("only") as stuck, connected(f"127.0.0.1:{stuck.port}") as channel:
        assert await channel.call() == b"only"
        stuck.stop_event_loop()
        waiting = asyncio.create_task(channel.call(60))
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.call(4)
        stuck.start_event_loop()
        assert await waiting == b"only"
        assert await channel.call() == b"only"


async def test_channel_recovers_soon_after_its_name_resolves_again(tmp_path: Path):
    authority = Authority()
    tls = authority.issue(tmp_path / "server", "usersvc.test")
    certificates = Certificates(authority.issue(tmp_path / "caller", "gateway"), LOG)
    settings = ServerSettings(Address("127.0.0.1", 0), tls, shutdown_delay_seconds=0.0)
    async with name_server("127.0.0.1") as names, echo_server(settings) as first:
        target = f"dns://127.0.0.1:{names.port}/usersvc.test:{first.port}"
        async with connected(target, certificates) as channel:
            assert await channel.call() == b""
            names.knows_name = False
            first.stop.set()
            await first.task
            moved = replace(settings, listen=Address("127.0.0.2", first.port))
            async with echo_server(moved):
                queries = names.queries
                await until(lambda: names.queries >= queries + QUERIES)
                names.addresses, names.knows_name = ["127.0.0.2"], True
                await until(lambda: channel.reasons() == ["not connected"], 10)
                assert await channel.call() == b""
