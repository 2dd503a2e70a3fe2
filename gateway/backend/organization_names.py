"""The names of organizations, cached, because every page shows one."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cloudacademy.keys.v1 import keys_pb2

from gateway.backend.client import Origin, call
from gateway.backend.errors import RefusedError

if TYPE_CHECKING:
    from cloudacademy.keys.v1.keys_pb2_grpc import OrganizationServiceAsyncStub

MAX_NAMES: Final = 10_000
KEEP_SECONDS: Final = 600.0
RETRY_SECONDS: Final = 5.0
"""The time after a failed lookup in which it is not repeated."""
WAIT_SECONDS: Final = 1.0
"""The time that a page waits for a name. After it, the page is shown without a name."""


class OrganizationNames:
    """Reads names from keysvc and caches them."""

    def __init__(
        self,
        stub: "OrganizationServiceAsyncStub",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub = stub
        self._monotonic = monotonic
        self._names: dict[str, tuple[str, float]] = {}

    async def find(self, organization_id: str, request_id: str) -> str:
        """The name of an organization; empty if keysvc does not know it or does not answer."""
        name, until = self._names.get(organization_id, ("", 0.0))
        if self._monotonic() < until:
            return name
        found = await self._read(organization_id, request_id)
        # An expired name is better than none while keysvc is unavailable.
        name, seconds = (name, RETRY_SECONDS) if found is None else (found, KEEP_SECONDS)
        self._names.pop(organization_id, None)
        if len(self._names) >= MAX_NAMES:
            del self._names[next(iter(self._names))]
        self._names[organization_id] = name, self._monotonic() + seconds
        return name

    async def _read(self, organization_id: str, request_id: str) -> str | None:
        request = keys_pb2.GetOrganizationRequest(organization_id=organization_id)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                response = await call(self._stub.GetOrganization, request, Origin(request_id))
        except (RefusedError, TimeoutError):
            return None
        return response.organization.display_name
