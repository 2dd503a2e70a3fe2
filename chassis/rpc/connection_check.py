"""Detects replicas that do not respond, and channels that do not connect."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

CHECK_SECONDS: Final = 0.5
"""The pause between two checks."""
CHECKS_AT_ONCE: Final = 2
"""The calls of one check. gRPC sends them to different replicas, in turn."""
RESPONSE_SECONDS: Final = 1.0
"""How long a replica may take to answer a health call, which needs no database."""
DISCONNECTED_SECONDS: Final = 2.0
"""How long a channel may have no connection. gRPC itself reconnects within a second."""
OVERLOAD_SECONDS: Final = 5.0
"""The shortest time between two replacements because of a replica that does not respond.

New connections cost a replica that is only overloaded more than they help it.
"""

Monotonic = Callable[[], float]

_READY: Final = grpc.ChannelConnectivity.READY
_FAILURES: Final = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)


class ConnectionCheck:
    """Finds the reason to replace a channel, if there is one.

    A replica whose event loop has stopped keeps its connections: gRPC's own threads answer pings.
    Its calls fail only at their deadlines, and gRPC sends it further calls. A new channel avoids
    such a replica, because gRPC sends no call before a replica has answered its health stream.

    A channel whose name does not resolve asks the DNS again after pauses of up to 2 minutes. A new
    channel asks at once.
    """

    def __init__(self, monotonic: Monotonic = time.monotonic) -> None:
        self._now = monotonic
        self._connected_time = monotonic()
        self._replacement_time = float("-inf")

    async def problem(self, channel: grpc.aio.Channel) -> str:
        """Check the channel once. Returns the reason to replace it, or an empty string."""
        checks = (_code(channel) for _ in range(CHECKS_AT_ONCE))
        codes = await asyncio.gather(*checks)
        is_connected = channel.get_state() is _READY
        now = self._now()
        if is_connected or not all(code in _FAILURES for code in codes):
            self._connected_time = now
        elif now - self._connected_time >= DISCONNECTED_SECONDS:
            return "not connected"
        is_silent = is_connected and grpc.StatusCode.DEADLINE_EXCEEDED in codes
        if is_silent and now - self._replacement_time >= OVERLOAD_SECONDS:
            return "no response"
        return ""

    def replaced(self) -> None:
        """Record that the channel was replaced by one that is connected."""
        self._connected_time = self._replacement_time = self._now()


async def _code(channel: grpc.aio.Channel) -> grpc.StatusCode:
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=RESPONSE_SECONDS)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
