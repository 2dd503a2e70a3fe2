"""The resource types of each organization, with its custom attributes."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cloudacademy.users.v1 import schemas_pb2 as pb

from chassis.concurrency.single_flight import SingleFlight
from gateway.backend.client import Origin
from gateway.backend.schemas import SchemaClient
from gateway.convert.schema import to_user_type
from gateway.scim.schema import ResourceType

LIFETIME_SECONDS: Final = 10.0
"""How long requests may use a cached schema after it was changed."""
MAX_ORGANIZATIONS: Final = 1_000

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _CachedType:
    schemas: Sequence[pb.Schema]
    user_type: ResourceType
    fetched_at: float


class ResourceTypes:
    """Caches the User type of each organization, built from its schemas in usersvc.

    While the schemas stay the same, the type stays the same object: projections and other values
    derived from a type are cached by its identity.
    """

    def __init__(
        self,
        client: SchemaClient,
        lifetime_seconds: float = LIFETIME_SECONDS,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._client = client
        self._lifetime_seconds = lifetime_seconds
        self._monotonic = monotonic
        self._cache: OrderedDict[str, _CachedType] = OrderedDict()
        self._fetches: SingleFlight[str, ResourceType] = SingleFlight()

    async def user(self, organization_id: str, request_id: str) -> ResourceType:
        """The User type of an organization. Refuses (503) while usersvc is unavailable."""
        cached = self._cache.get(organization_id)
        if cached is not None and self._monotonic() - cached.fetched_at < self._lifetime_seconds:
            return cached.user_type
        return await self._fetches.run(
            organization_id, lambda: self._fetch(organization_id, request_id)
        )

    async def _fetch(self, organization_id: str, request_id: str) -> ResourceType:
        fetched_at = self._monotonic()
        request = pb.ListSchemasRequest(organization_id=organization_id)
        schemas = await self._client.list(request, Origin(request_id))
        cached = self._cache.get(organization_id)
        unchanged = cached is not None and cached.schemas == schemas
        user_type = cached.user_type if cached and unchanged else to_user_type(schemas)
        self._cache[organization_id] = _CachedType(schemas, user_type, fetched_at)
        self._cache.move_to_end(organization_id)
        if len(self._cache) > MAX_ORGANIZATIONS:
            self._cache.popitem(last=False)
        return user_type
