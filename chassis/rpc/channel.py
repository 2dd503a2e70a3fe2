"""A gRPC channel to a service of ours."""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from typing import Final

import grpc

from chassis.concurrency.supervisor import Supervisor
from chassis.config.database_url import is_loopback
from chassis.observability.tracing import TracedCalls, Tracing
from chassis.rpc.certificates import Certificates
from chassis.rpc.rotating_channel import RotatingChannel
from chassis.rpc.status import from_rpc_error
from chassis.startup import StartError, redact

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
DEADLINE_SECONDS: Final = 10.0
ACCEPTS_CALLS: Final = "chassis.TakesCalls"
"""What a server's health says under this name: whether callers may begin calls on it."""
PING_SECONDS: Final = 10.0
"""How long a server that owes something may say nothing until it is pinged."""
SILENCE_SECONDS: Final = 3.0
"""How long a server may leave a ping unanswered before its connection is given up."""
_SILENT_PEER: Final = (
    "ping timeout",
    *(f"{call}:{os.strerror(errno.ETIMEDOUT)}" for call in ("recvmsg", "sendmsg")),
)
"""gRPC's texts for that, and for TCP_USER_TIMEOUT, which it sets to SILENCE_SECONDS as well."""


def connect(
    target: str,
    repeatable: Mapping[str, Sequence[str]],
    certificates: Certificates | None = None,
    tracing: Tracing | None = None,
    tasks: Supervisor | None = None,
) -> grpc.aio.Channel:
    """A channel that finds the service again by itself, within a second.

    `target` is a gRPC name such as `dns:///usersvc:50051`; all addresses
    behind it get their share of the calls. Calls of the `repeatable` methods,
    given by service, that no server has taken are tried again; all others fail
    at once. With `certificates` it speaks TLS and shows ours, renewed by one of `tasks`.

    Refuses (StartError) a target on another machine without them.
    """
    options = _options(repeatable)
    interceptors = [TracedCalls(tracing)] if tracing else None
    if certificates is not None:
        return RotatingChannel(
            certificates,
            lambda renewed: grpc.aio.secure_channel(
                target, renewed.for_channel(), options, interceptors=interceptors
            ),
            tasks or Supervisor(certificates.log),
            target,
        )
    if not is_loopback_target(target):
        raise StartError(
            f"{redact(target)} is on another machine: set TLS_CERTIFICATE, TLS_KEY and "
            "TLS_AUTHORITY (docs/operations.md)"
        )
    return grpc.aio.insecure_channel(target, options, interceptors=interceptors)


def may_still_arrive(error: grpc.aio.AioRpcError) -> bool:
    """Whether a call failed because its server went silent, so that the network may yet deliver it.

    A call on a connection that was reset or closed cannot arrive. gRPC tells the two apart only by
    its English text: code, metadata and channel state are the same. The tests of this function
    compare the text of the pinned version. A status that a server of ours sent has details, and
    its text, which may hold what a user typed, is never looked at.
    """
    if error.code() is not grpc.StatusCode.UNAVAILABLE or from_rpc_error(error).reason:
        return False
    text = error.details() or ""
    return any(each in text for each in _SILENT_PEER)


def is_loopback_target(target: str) -> bool:
    """Whether a gRPC name leads to this machine only."""
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


def _options(repeatable: Mapping[str, Sequence[str]]) -> list[tuple[str, str | int]]:
    return [
        ("grpc.service_config", json.dumps(_service_config(repeatable))),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ("grpc.enable_http_proxy", 0),  # services are neighbours
        ("grpc.keepalive_time_ms", round(PING_SECONDS * 1_000)),
        # The former alone is not obeyed: a ping has a minute.
        ("grpc.keepalive_timeout_ms", round(SILENCE_SECONDS * 1_000)),
        ("grpc.http2.ping_timeout_ms", round(SILENCE_SECONDS * 1_000)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]


def _service_config(repeatable: Mapping[str, Sequence[str]]) -> dict[str, object]:
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        # A server that is about to stop is left before it does.
        "healthCheckConfig": {"serviceName": ACCEPTS_CALLS},
        "methodConfig": [
            {
                "name": [
                    {"service": service, "method": method}
                    for service, methods in repeatable.items()
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
