"""A gRPC server: its health, its limits, its end."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from chassis.concurrency.supervisor import Supervisor
from chassis.config.settings import Address, ServerSettings
from chassis.observability.admin import admin_port
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics, Requests
from chassis.observability.tracing import Tracing
from chassis.rpc.authorization import CallerAuthorization, Callers
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import ACCEPTS_CALLS, MAX_MESSAGE_BYTES
from chassis.rpc.health import HealthServicer
from chassis.rpc.interceptor import WRITE_SECONDS, ServerInterceptor
from chassis.rpc.local_dispatcher import LocalDispatcher
from chassis.rpc.public_calls import ALL_STREAMS
from chassis.startup import StartError, redact

DRAIN_SECONDS: Final = 10.0
AGE_GRACE_SECONDS: Final = 20.0
"""What is left of a connection once it is too old for new calls."""
HEALTH_SECONDS: Final = 1.0
HEALTH_PATIENCE_SECONDS: Final = 3.0
ALIVE_SECONDS: Final = 15.0  # longer than it drains
SPARE_CALLS: Final = 4_000
"""Room for calls that are being refused with a reason, and for those whose request has not come.

gRPC counts both beside the calls that have slots, and refuses further calls without a reason. The
number is that of the streams of 20 connections, so that one connection cannot use it up.
"""
MAX_STREAMS: Final = 200
"""Calls and streams of one connection; further ones wait in the caller's own process.

RFC 9113 section 6.5.2 recommends 100 at least. A gateway needs 64 for requests, 16 for pages, and
a few for batches, watches and health.
"""
MAX_CONNECTIONS: Final = 2_000
"""Connections that are open or being opened; further ones are closed without an answer.

One host can take all of them: gRPC cannot limit a host, so the network has to (docs/operations.md).
"""
IDLE_SECONDS: Final = 60.0
"""How long a connection without any call stays open. A gateway's has its health stream."""
HANDSHAKE_SECONDS: Final = 5.0
"""How long a client may take for TLS and for the first frame of HTTP/2."""
_STREAM_SECONDS: Final = {
    f"/{reflection.SERVICE_NAME}/ServerReflectionInfo": 60.0,
}
_NO_LIMITS: Final[Mapping[str, float]] = MappingProxyType({})


class Server:
    """Serves gRPC services until it is stopped.

    `callers` names each service's methods and whom they admit, which holds
    where TLS is on; `logged_fields` names the fields of requests, ids, that go into the
    log. `ready` says whether requests can be answered now (the
    database is there, and no task of `tasks` that is required keeps failing);
    `grpc.health.v1` repeats it for the whole server and for each service.
    """

    def __init__(
        self,
        settings: ServerSettings,
        callers: Callers,
        ready: Callable[[], Awaitable[bool]],
        log: Logger,
        tasks: Supervisor,
        *,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
        logged_fields: Sequence[str] = (),
        batch_methods: Set[str] = frozenset(),
        stream_seconds: Mapping[str, float] = _NO_LIMITS,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        self._settings = settings
        self._metrics = metrics or Metrics()
        self._serving = False
        self._asked = 0.0
        self._services = tuple(callers)
        self._ready = ready
        self._log = log
        self._tasks = tasks
        tls = settings.tls
        self._certificates = Certificates(tls, log) if tls else None
        self._authorization = CallerAuthorization(callers) if tls else None
        self._health = HealthServicer()
        interceptor = ServerInterceptor(
            log,
            self._authorization,
            self._calls(),
            tracing,
            logged_fields,
            max_calls=settings.max_calls,
            batch_methods=batch_methods,
            stream_seconds={**_STREAM_SECONDS, **stream_seconds},
            write_seconds=write_seconds,
        )
        self.dispatcher = LocalDispatcher(interceptor)
        """Services that are added here too can be called on a batch stream."""
        self.grpc: grpc.aio.Server = _grpc_server(settings, interceptor)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen, say so in the log, and serve until told to stop; then drain.

        Refuses (StartError) to listen where others can reach it without TLS.
        """
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        if self._settings.reflection:
            names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self.grpc)
        probes = {"/healthz": self._is_alive, "/readyz": self._is_serving}
        with admin_port(self._settings.admin, self._metrics, probes, self._log):
            await self._serve(self._settings.listen, stop)

    async def _serve(self, listen: Address, stop: asyncio.Event) -> None:
        port = self._bind(listen)
        self._set_health(ready=False)
        self._health.set(ACCEPTS_CALLS, serving=True)
        await self.grpc.start()
        try:
            await self._serve_until(stop, Address(listen.host, port))
        finally:
            # Also after an error or a cancellation: a process whose server is not stopped while
            # its event loop runs may wait for gRPC's polling thread for ever when it ends.
            await self.grpc.stop(None)

    async def _serve_until(self, stop: asyncio.Event, address: Address) -> None:
        self._log.info("listening", address=str(address), tls=self._certificates is not None)
        watch = self._tasks.start("health", self._watch_health, is_required=True)
        await stop.wait()
        self._log.info("draining", limit_seconds=DRAIN_SECONDS)
        await watch.end()
        self._serving = False
        self._health.stop()
        # gRPC cancels a call that arrives once it stops: callers must have left by then.
        await asyncio.sleep(self._settings.shutdown_delay_seconds)
        await self.grpc.stop(DRAIN_SECONDS)
        self._log.info("stopped")

    def _calls(self) -> Requests | None:
        if self._settings.admin is None:
            return None
        return self._metrics.requests(
            "rpc_server_call_duration_seconds",
            "rpc_server_active_calls",
            "gRPC calls",
            "rpc_method",
            "rpc_response_status_code",
            "error_type",
        )

    def _is_alive(self) -> bool:
        """Whether the loop still turns; it is asked from another thread."""
        return time.monotonic() - self._asked < ALIVE_SECONDS

    def _is_serving(self) -> bool:
        return self._serving and self._tasks.ready and self._is_alive()

    def _bind(self, listen: Address) -> int:
        if self._certificates is None and not listen.is_loopback:
            raise StartError(
                f"{redact(str(listen))} can be reached from elsewhere: set TLS_CERTIFICATE, "
                "TLS_KEY and TLS_AUTHORITY (docs/operations.md), or listen on 127.0.0.1"
            )
        try:
            # gRPC would print a host that is none, whatever it is.
            socket.getaddrinfo(listen.host, listen.port)
            if self._certificates is None:
                return self.grpc.add_insecure_port(str(listen))
            return self.grpc.add_secure_port(str(listen), self._certificates.for_server())
        except OSError as error:
            raise StartError(f"cannot listen on {redact(str(listen))}: {error.strerror}") from error
        except RuntimeError as error:  # its text has the address; the cause, gRPC has printed
            raise StartError(f"cannot listen on {redact(str(listen))}") from error

    async def _watch_health(self) -> None:
        before = None
        while True:
            ready = self._serving = await self._is_ready()
            self._asked = time.monotonic()
            if ready is not before:
                self._log.info("health", ready=ready)
                self._set_health(ready=ready)
                before = ready
            await asyncio.sleep(HEALTH_SECONDS)

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(HEALTH_PATIENCE_SECONDS):
                return self._tasks.ready and await self._ready()
        except TimeoutError:
            return False
        except Exception as fault:  # noqa: BLE001 - what cannot be told is not well
            self._log.error("internal error", exc_info=fault)
            return False

    def _set_health(self, *, ready: bool) -> None:
        for name in ("", *self._services):
            self._health.set(name, serving=ready)


def _grpc_server(settings: ServerSettings, interceptor: ServerInterceptor) -> grpc.aio.Server:
    return grpc.aio.server(
        interceptors=[interceptor],
        maximum_concurrent_rpcs=2 * settings.max_calls + ALL_STREAMS + SPARE_CALLS,
        options=_options(settings),
    )


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        # Two processes on one port would share its calls at random.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
        ("grpc.max_connection_idle_ms", round(IDLE_SECONDS * 1000)),
        ("grpc.server_handshake_timeout_ms", round(HANDSHAKE_SECONDS * 1000)),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        # Callers are services of ours: none is sent away for asking too often whether we are there.
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_age_ms", settings.connection_seconds * 1000),
        # Calls have their deadline, and batch streams a lifetime
        # (gateway.backend.batching.dispatcher). Other streams begin anew on another connection.
        ("grpc.max_connection_age_grace_ms", round(AGE_GRACE_SECONDS * 1000)),
    ]
