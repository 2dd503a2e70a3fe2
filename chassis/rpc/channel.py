"""gRPC channels to our services."""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from typing import Final

import grpc
import structlog

from chassis.concurrency.supervisor import Supervisor
from chassis.config.database_url import is_loopback
from chassis.observability.tracing import TracedCalls, Tracing
from chassis.rpc.certificates import Certificates
from chassis.rpc.rotating_channel import RotatingChannel
from chassis.rpc.status import from_rpc_error
from chassis.startup import StartError, redact

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
DEADLINE_SECONDS: Final = 10.0
ACCEPTS_CALLS: Final = "chassis.AcceptsCalls"
"""The health service name whose status says whether a server accepts new calls.

A server reports the same status for the name that `accepts_calls` returns for its own service and
region, and no status for other names. So a channel that watches such a name sends no call to a
server of another service or region.
"""
DEPRECATED_ACCEPTS_CALLS: Final = "chassis.TakesCalls"
"""The earlier ACCEPTS_CALLS. Servers report it for one release, because older gateways watch it."""
KEEPALIVE_SECONDS: Final = 10.0
"""How long a server with active calls may send nothing before the channel sends a ping."""
KEEPALIVE_TIMEOUT_SECONDS: Final = 3.0
"""How long a server may take to answer the ping before the channel closes the connection."""
_SILENT_PEER_TEXTS: Final = (
    "ping timeout",
    *(f"{call}:{os.strerror(errno.ETIMEDOUT)}" for call in ("recvmsg", "sendmsg")),
)
"""gRPC's error texts for an unanswered ping and for TCP_USER_TIMEOUT.

gRPC sets TCP_USER_TIMEOUT to KEEPALIVE_TIMEOUT_SECONDS.
"""


def connect(
    target: str,
    retryable_methods: Mapping[str, Sequence[str]],
    certificates: Certificates | None = None,
    tracing: Tracing | None = None,
    tasks: Supervisor | None = None,
    *,
    health_service: str = ACCEPTS_CALLS,
) -> grpc.aio.Channel:
    """A channel that reconnects to its service within a second, and avoids stuck replicas.

    `target` is a gRPC name such as `dns:///usersvc:50051`. Calls are spread over all of its
    addresses. `retryable_methods` lists methods by service: their calls are retried if the service
    is unavailable; calls of other methods fail at once. With `certificates` the channel uses TLS.
    Tasks of `tasks` check the connections and rotate the certificate. The channel sends calls only
    to servers that report SERVING for `health_service`; if it is empty, to all.

    Refuses (StartError) a target on another machine without certificates.
    """
    if certificates is None and not is_loopback_target(target):
        raise StartError(
            f"{redact(target)} is on another machine: set TLS_CERTIFICATE, TLS_KEY and "
            "TLS_AUTHORITY (docs/operations.md)"
        )
    options = _options(retryable_methods, health_service)
    interceptors = [TracedCalls(tracing)] if tracing else None

    def create_channel() -> grpc.aio.Channel:
        if certificates is None:
            return grpc.aio.insecure_channel(target, options, interceptors=interceptors)
        return grpc.aio.secure_channel(
            target, certificates.for_channel(), options, interceptors=interceptors
        )

    supervisor = tasks or Supervisor(structlog.get_logger())
    return RotatingChannel(create_channel, supervisor, target, certificates)


def accepts_calls(service: str, region: str) -> str:
    """The health service name of ACCEPTS_CALLS for the servers of one service and region."""
    return f"{ACCEPTS_CALLS}.{service}.{region}"


def may_still_arrive(error: grpc.aio.AioRpcError) -> bool:
    """Whether the network may still deliver a failed call, because its server stopped responding.

    A call on a connection that was reset or closed cannot arrive. gRPC distinguishes the two cases
    only by the English error text: code, metadata and channel state are the same. The tests compare
    this text with the pinned version of gRPC. The text of a status from our servers is not
    compared, because it may contain user input.
    """
    if error.code() is not grpc.StatusCode.UNAVAILABLE or from_rpc_error(error).reason:
        return False
    text = error.details() or ""
    return any(each in text for each in _SILENT_PEER_TEXTS)


def is_loopback_target(target: str) -> bool:
    """Whether all addresses of a gRPC name are on this machine."""
    scheme, colon, rest = target.partition(":")
    if colon and scheme in ("unix", "unix-abstract"):
        return True
    addresses = rest if colon and scheme in ("dns", "ipv4", "ipv6") else target
    hosts = [part.rpartition("/")[2] for part in addresses.split(",")]
    return all(is_loopback(_host(host)) for host in hosts)


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0]


def _options(
    retryable_methods: Mapping[str, Sequence[str]], health_service: str
) -> list[tuple[str, str | int]]:
    return [
        ("grpc.service_config", json.dumps(_service_config(retryable_methods, health_service))),
        # A new channel has connections of its own, and so its own view of each replica's health.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ("grpc.enable_http_proxy", 0),  # services are on the same network
        ("grpc.keepalive_time_ms", round(KEEPALIVE_SECONDS * 1_000)),
        # keepalive_timeout_ms alone has no effect: the default ping timeout is a minute.
        ("grpc.keepalive_timeout_ms", round(KEEPALIVE_TIMEOUT_SECONDS * 1_000)),
        ("grpc.http2.ping_timeout_ms", round(KEEPALIVE_TIMEOUT_SECONDS * 1_000)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]


def _service_config(
    retryable_methods: Mapping[str, Sequence[str]], health_service: str
) -> dict[str, object]:
    # The channel watches this health, and sends no calls to a server that is about to stop.
    health = {"healthCheckConfig": {"serviceName": health_service}} if health_service else {}
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        **health,
        "methodConfig": [
            {
                "name": [
                    {"service": service, "method": method}
                    for service, methods in retryable_methods.items()
                    for method in methods
                ],
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "0.5s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
    }
