"""A server of the chassis with a test service that echoes requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog
from structlog.testing import LogCapture

from chassis.concurrency.supervisor import Supervisor
from chassis.config.settings import Address, ServerSettings
from chassis.rpc.channel import accepts_calls
from chassis.rpc.server import Server
from tests.support.waiting import eventually, pace

SERVICE = "test.EchoService"
ECHO, COUNT, HOLD = (f"/{SERVICE}/{method}" for method in ("Echo", "Count", "Hold"))
GATEWAY = frozenset({"gateway", "spiffe://test/gateway"})
CALLERS = {SERVICE: {"Echo": GATEWAY | {"search"}, "Count": GATEWAY, "Hold": GATEWAY}}
PATIENCE_SECONDS = 20.0
OPEN = ServerSettings(Address("127.0.0.1", 0))

Handler = Callable[[bytes, Any], Awaitable[bytes]]


class EchoService:
    """Echoes requests, streams numbers endlessly, and holds calls until `release` is set."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.held = 0
        self.cancelled = 0
        self.answered = 0
        self.peers: set[str] = set()

    async def echo(self, request: bytes, context: Any) -> bytes:
        self.answered += 1
        self.peers.add(context.peer())
        return request

    async def count(self, _request: bytes, _: Any) -> AsyncIterator[bytes]:
        number = 0
        while True:
            yield str(number).encode()
            number += 1
            await pace(0.01)  # the interval between messages

    async def hold(self, request: bytes, _: Any) -> bytes:
        self.held += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.held -= 1
        return request

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
                "Count": grpc.unary_stream_rpc_method_handler(self.count),
                "Hold": grpc.unary_unary_rpc_method_handler(self.hold),
            },
        )


@dataclass
class EchoServer:
    """An echo server that runs in this process."""

    port: int
    service: EchoService
    log: list[dict[str, Any]]
    stop: asyncio.Event
    task: asyncio.Task[None] = field(init=False)
    in_service: bool = True
    """Whether the process wants calls."""

    @property
    def target(self) -> str:
        return f"localhost:{self.port}"

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.log if entry["event"] == event]


@asynccontextmanager
async def echo_server(settings: ServerSettings = OPEN) -> AsyncIterator[EchoServer]:
    """Serve until the end of the block, then drain."""
    capture, stop, service = LogCapture(), asyncio.Event(), EchoService()
    running = EchoServer(0, service, capture.entries, stop)

    # Captures all levels, independent of the log level of this process.
    log = structlog.wrap_logger(None, [capture], structlog.make_filtering_bound_logger(0))
    tasks = Supervisor(log)
    server = Server(
        settings,
        CALLERS,
        log,
        tasks,
        in_service=lambda: running.in_service,
        accepts_calls_name=accepts_calls("echo", "us"),
    )
    server.grpc.add_generic_rpc_handlers((service.handler(),))
    task = asyncio.create_task(server.run(stop))
    try:
        await until(lambda: task.done() or bool(running.logged("listening")))
        if task.done():
            await task
        address = running.logged("listening")[0]["address"]
        running.port, running.task = int(address.rpartition(":")[2]), task
        yield running
    finally:
        service.release.set()
        stop.set()
        await asyncio.wait([task])
    if not task.cancelled():
        await task  # raises its error, if any


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition is true."""
    await eventually(condition, seconds)
