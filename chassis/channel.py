"""A gRPC channel to a service of ours."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

import grpc

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
DEADLINE_SECONDS: Final = 10.0


def connect(target: str, repeatable: Mapping[str, Sequence[str]]) -> grpc.aio.Channel:
    """A channel that finds the service again by itself, within a second.

    `target` is a gRPC name such as `dns:///usersvc:50051`; all addresses
    behind it get their share of the calls. Calls of the `repeatable` methods,
    given by service, that no server has taken are tried again; all others fail
    at once.
    """
    return grpc.aio.insecure_channel(
        target,
        options=[
            ("grpc.service_config", json.dumps(_service_config(repeatable))),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_http_proxy", 0),  # services are neighbours
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 3_000),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ],
    )


def _service_config(repeatable: Mapping[str, Sequence[str]]) -> dict[str, object]:
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
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
