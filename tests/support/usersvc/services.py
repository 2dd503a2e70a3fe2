"""The services of usersvc in this process, on a real socket."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import grpc
import structlog
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub

from chassis.config.settings import Address, ServerSettings
from chassis.rpc.interceptor import WRITE_SECONDS
from tests.support.clocks import StoppedClock
from usersvc.rpc.changes import STREAM_SECONDS
from usersvc.settings import Settings
from usersvc.wiring import serve

NO_ROLLUP_SECONDS = 3_600.0
"""Tests add up new rows themselves."""
_SERVER = ServerSettings(Address("127.0.0.1", 0), shutdown_delay_seconds=0.0)


@asynccontextmanager
async def open_port(
    url: str,
    clock: StoppedClock,
    *,
    stream_seconds: Mapping[str, float] = STREAM_SECONDS,
    write_seconds: float = WRITE_SECONDS,
) -> AsyncIterator[int]:
    """Serve on a database, wired as in production; yields the port."""
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()

    def find_port(_: object, __: str, entry: structlog.typing.EventDict) -> str:
        if entry["event"] == "listening":
            listening.set_result(int(entry["address"].rpartition(":")[2]))
        return str(entry)

    # pytest displays the standard error of failed tests.
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=[find_port])
    task = asyncio.create_task(
        serve(
            Settings(url, _SERVER, "us", "info"),
            log,
            stop,
            clock,
            stream_seconds=stream_seconds,
            write_seconds=write_seconds,
            rollup_seconds=NO_ROLLUP_SECONDS,
        )
    )
    await asyncio.wait([task, listening], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield listening.result()
    finally:
        stop.set()
        await task


@asynccontextmanager
async def open_channel(url: str, clock: StoppedClock) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the services on a database."""
    async with (
        open_port(url, clock) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


@asynccontextmanager
async def running_service(url: str, clock: StoppedClock) -> AsyncIterator[UserServiceStub]:
    """The UserService on a database."""
    async with open_channel(url, clock) as channel:
        yield UserServiceStub(channel)
