"""A gRPC server with health, limits, an admin port and graceful shutdown."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2_grpc

from chassis.concurrency.supervisor import Supervisor
from chassis.concurrency.waiting import work_until_event
from chassis.config.settings import Address, ServerSettings
from chassis.observability.admin import admin_port
from chassis.observability.log import Logger
from chassis.observability.metrics import Metrics, RequestMetrics
from chassis.observability.tracing import Tracing
from chassis.process import allow_connections
from chassis.rpc.authorization import CallerAuthorization, Callers
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import ACCEPTS_CALLS, DEPRECATED_ACCEPTS_CALLS, MAX_MESSAGE_BYTES
from chassis.rpc.health import HealthServicer
from chassis.rpc.interceptor import WRITE_SECONDS, ServerInterceptor
from chassis.rpc.local_dispatcher import LocalDispatcher
from chassis.rpc.public_calls import MAX_PUBLIC_STREAMS
from chassis.rpc.reflection import METHODS as REFLECTION_METHODS
from chassis.rpc.reflection import enable_reflection
from chassis.startup import StartError, redact

DRAIN_SECONDS: Final = 10.0
AGE_GRACE_SECONDS: Final = 20.0
"""How long the calls of a connection may continue once it has reached its maximum age."""
HEALTH_SECONDS: Final = 1.0
PREPARE_SECONDS: Final = 0.5
"""The interval between two attempts to prepare, for example without a database."""
ALIVE_SECONDS: Final = 15.0  # longer than draining takes
CALLS_WITHOUT_SLOT: Final = 4_000
"""How many calls without a slot gRPC accepts: calls that are being refused with a reason, and calls
whose request has not arrived.

gRPC refuses calls above its limit of concurrent calls without a reason. The number equals the
streams of 20 connections, so that one connection cannot use it up.
"""
MAX_STREAMS: Final = 200
"""The maximum number of concurrent streams on a connection; further calls wait in the caller.

RFC 9113 section 6.5.2 recommends at least 100. A gateway needs 64 for requests, 16 for pages, and
a few for batches, watches and health.
"""
MAX_CONNECTIONS: Final = 2_000
"""The maximum number of connections, including those in a handshake; further ones are closed.

One host can use all of them. gRPC has no limit for a host, so the network must limit it
(docs/operations.md).
"""
IDLE_SECONDS: Final = 60.0
"""How long a connection without calls stays open. A gateway's connection has a health stream."""
HANDSHAKE_SECONDS: Final = 5.0
"""How long a client may take for the TLS handshake and the first HTTP/2 frame."""
_STREAM_SECONDS: Final = dict.fromkeys(REFLECTION_METHODS, 60.0)
_NO_LIMITS: Final[Mapping[str, float]] = MappingProxyType({})


async def _nothing_to_prepare() -> bool:
    return True


class Server:
    """Serves gRPC services until it is stopped.

    `callers` lists the callers of each method; it applies if TLS is on. `prepare` is called before
    the server listens, and then again until it returns true; it may raise StartError, which ends
    the server. Then calls are accepted while `in_service` returns true. The server is ready if it
    accepts calls and no required task of `tasks` keeps failing. `grpc.health.v1` reports this
    readiness for the whole server and for each service.

    Readiness must not depend on what all replicas share: a database that is unavailable would take
    all of them out of service. `accepts_calls_name` is a further name for ACCEPTS_CALLS
    (`chassis.rpc.channel`). The other arguments are those of `ServerInterceptor`.
    """

    def __init__(
        self,
        settings: ServerSettings,
        callers: Callers,
        log: Logger,
        tasks: Supervisor,
        *,
        prepare: Callable[[], Awaitable[bool]] = _nothing_to_prepare,
        in_service: Callable[[], bool] = lambda: True,
        accepts_calls_name: str = ACCEPTS_CALLS,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
        logged_fields: Sequence[str] = (),
        batch_methods: Set[str] = frozenset(),
        unlogged_methods: Set[str] = frozenset(),
        stream_seconds: Mapping[str, float] = _NO_LIMITS,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        self._settings = settings
        self._metrics = metrics or Metrics()
        self._serving = False
        self._last_check = 0.0
        self._services = tuple(callers)
        self._prepare = prepare
        self._is_prepared = False
        self._in_service = in_service
        names = {ACCEPTS_CALLS, accepts_calls_name}
        deprecated = {each.replace(ACCEPTS_CALLS, DEPRECATED_ACCEPTS_CALLS) for each in names}
        self._accepts_calls_names = names | deprecated
        self._log = log
        self._tasks = tasks
        tls = settings.tls
        self._certificates = Certificates(tls, log) if tls else None
        self._authorization = CallerAuthorization(callers) if tls else None
        self._health = HealthServicer()
        interceptor = ServerInterceptor(
            log,
            self._authorization,
            self._call_metrics(),
            tracing,
            logged_fields,
            max_calls=settings.max_calls,
            batch_methods=batch_methods,
            unlogged_methods=unlogged_methods,
            stream_seconds={**_STREAM_SECONDS, **stream_seconds},
            write_seconds=write_seconds,
        )
        self.dispatcher = LocalDispatcher(interceptor)
        """Services that are also added here can be called on a batch stream."""
        self.grpc: grpc.aio.Server = _grpc_server(settings, interceptor, self._connections())

    async def run(self, stop: asyncio.Event) -> None:
        """Listen, log the address, serve until `stop` is set, and drain.

        Refuses (StartError) an address that other machines can reach if TLS is off.
        """
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        if self._settings.reflection:
            enable_reflection((*self._services, health.SERVICE_NAME), self.grpc)
        probes = {"/healthz": self._is_alive, "/readyz": self._is_serving}
        with admin_port(self._settings.admin, self._metrics, probes, self._log):
            await self._serve(self._settings.listen, stop)

    async def _serve(self, listen: Address, stop: asyncio.Event) -> None:
        self._is_prepared = await self._prepare()
        port = self._bind(listen)
        self._set_health(ready=False, accepts_calls=self._accepts_calls())
        await self.grpc.start()
        try:
            await self._serve_until(stop, Address(listen.host, port))
        finally:
            # Stop the server after an error or a cancellation, too. It must stop while its event
            # loop runs: otherwise the process may wait for gRPC's polling thread forever at exit.
            await self.grpc.stop(None)

    async def _serve_until(self, stop: asyncio.Event, address: Address) -> None:
        self._log.info("listening", address=str(address), tls=self._certificates is not None)
        watch = self._tasks.start("health", self._watch_health, is_required=True)
        await work_until_event(stop, self._finish_preparation())
        self._log.info("draining", limit_seconds=DRAIN_SECONDS)
        await watch.end()
        self._serving = False
        self._health.stop()
        # gRPC cancels calls that arrive once it stops, so give callers time to use other servers.
        await asyncio.sleep(self._settings.shutdown_delay_seconds)
        await self.grpc.stop(DRAIN_SECONDS)
        self._log.info("stopped")

    def _connections(self) -> int:
        """The maximum number of connections, for which there must be file descriptors."""
        allowed = allow_connections(MAX_CONNECTIONS)
        if allowed < MAX_CONNECTIONS:
            self._log.warning("connections limited", allowed=allowed, wanted=MAX_CONNECTIONS)
        return allowed

    def _call_metrics(self) -> RequestMetrics | None:
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
        """Whether the event loop still runs. The admin port calls this in another thread."""
        return time.monotonic() - self._last_check < ALIVE_SECONDS

    def _is_serving(self) -> bool:
        return self._serving and self._tasks.ready and self._is_alive()

    def _bind(self, listen: Address) -> int:
        if self._certificates is None and not listen.is_loopback:
            raise StartError(
                f"other machines can reach {redact(str(listen))}: set TLS_CERTIFICATE, "
                "TLS_KEY and TLS_AUTHORITY (docs/operations.md), or listen on 127.0.0.1"
            )
        try:
            # Check the host first: gRPC would print an invalid one, which may be a secret.
            socket.getaddrinfo(listen.host, listen.port)
            if self._certificates is None:
                return self.grpc.add_insecure_port(str(listen))
            return self.grpc.add_secure_port(str(listen), self._certificates.for_server())
        except OSError as error:
            raise StartError(f"cannot listen on {redact(str(listen))}: {error.strerror}") from error
        except RuntimeError as error:  # its text has the address; gRPC has logged the cause
            raise StartError(f"cannot listen on {redact(str(listen))}") from error

    async def _finish_preparation(self) -> None:
        while not self._is_prepared:
            await asyncio.sleep(PREPARE_SECONDS)
            self._is_prepared = await self._prepare()

    async def _watch_health(self) -> None:
        last = None
        while True:
            current = ready, accepts_calls = self._is_ready(), self._accepts_calls()
            self._serving = ready
            self._last_check = time.monotonic()
            if current != last:
                self._set_health(ready=ready, accepts_calls=accepts_calls)
                self._log.info("health", ready=ready)
                last = current
            await asyncio.sleep(HEALTH_SECONDS)

    def _accepts_calls(self) -> bool:
        return self._is_prepared and self._in_service()

    def _is_ready(self) -> bool:
        return self._tasks.ready and self._accepts_calls()

    def _set_health(self, *, ready: bool, accepts_calls: bool) -> None:
        for name in ("", *self._services):
            self._health.set(name, serving=ready)
        for name in self._accepts_calls_names:
            self._health.set(name, serving=accepts_calls)


def _grpc_server(
    settings: ServerSettings, interceptor: ServerInterceptor, connections: int
) -> grpc.aio.Server:
    return grpc.aio.server(
        interceptors=[interceptor],
        maximum_concurrent_rpcs=2 * settings.max_calls + MAX_PUBLIC_STREAMS + CALLS_WITHOUT_SLOT,
        options=_options(settings, connections),
    )


def _options(settings: ServerSettings, connections: int) -> list[tuple[str, int]]:
    return [
        # Otherwise two processes could listen on one port and share its calls at random.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.max_connection_idle_ms", round(IDLE_SECONDS * 1000)),
        ("grpc.server_handshake_timeout_ms", round(HANDSHAKE_SECONDS * 1000)),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        # Callers are our own services: never close a connection because of its pings.
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_age_ms", settings.connection_seconds * 1000),
        # Calls have deadlines, and batch streams have a lifetime
        # (gateway.backend.batching.dispatcher). Callers reopen other streams on a new connection.
        ("grpc.max_connection_age_grace_ms", round(AGE_GRACE_SECONDS * 1000)),
    ]
