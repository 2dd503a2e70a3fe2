"""`grpc.health.v1` without locks, so that a slow client does not block others.

The servicer of grpcio-health-checking holds a lock while it writes to a stream. A client that
opens no flow-control window would block every other stream, and the task that sets the status.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.errors import InvalidField

MAX_NAME: Final = 256
"""The maximum length of a watched service's name, which stays in memory during the stream."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # untyped
    """Reports the status of each service and its changes."""

    def __init__(self) -> None:
        self._serving: dict[str, bool] = {}
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._is_final = False

    def set(self, service: str, *, serving: bool) -> None:
        """Set the status of a service. The empty name is the whole server."""
        if self._is_final:
            return
        self._serving[service] = serving
        for changed in self._watchers.get(service, ()):
            changed.set()

    def stop(self) -> None:
        """Set every service to NOT_SERVING. Later changes have no effect."""
        for service in self._serving:
            self.set(service, serving=False)
        self._is_final = True

    async def Check(  # noqa: N802 - a name of the contract
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """Return the status of one service. Ends with NOT_FOUND for an unknown name."""
        if request.service not in self._serving:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return self._response(request.service)

    async def List(  # noqa: N802
        self, request: health_pb2.HealthListRequest, context: Context
    ) -> health_pb2.HealthListResponse:
        """Return the status of every service."""
        return health_pb2.HealthListResponse(
            statuses={service: self._response(service) for service in self._serving}
        )

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Stream the status of one service and its changes. An unknown one has SERVICE_UNKNOWN.

        Refuses (InvalidField) a name with more than MAX_NAME characters.
        """
        if len(request.service) > MAX_NAME:
            raise InvalidField("service", f"has more than {MAX_NAME} characters")
        changed = asyncio.Event()
        watchers = self._watchers.setdefault(request.service, set())
        watchers.add(changed)
        try:
            last = None
            while True:
                changed.clear()
                response = self._response(request.service)
                if response != last:
                    last = response
                    yield response
                else:
                    await changed.wait()
        finally:
            watchers.discard(changed)
            if not watchers and self._watchers.get(request.service) is watchers:
                del self._watchers[request.service]

    def _response(self, service: str) -> health_pb2.HealthCheckResponse:
        kinds = health_pb2.HealthCheckResponse
        serving = self._serving.get(service)
        if serving is None:
            return kinds(status=kinds.SERVICE_UNKNOWN)
        return kinds(status=kinds.SERVING if serving else kinds.NOT_SERVING)
