"""The types of resources as each organization has them."""

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
"""How long a schema may be registered before requests know of it."""
MAX_ORGANIZATIONS: Final = 1_000

Monotonic = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Kept:
    schemas: Sequence[pb.Schema]
    user_type: ResourceType
    asked: float


class ResourceTypes:
    """Asks usersvc for an organization's schemas and keeps what they make of its users.

    As long as they stay the same the type is the same object: what is derived
    of a type, such as projections, is kept by it.
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
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._asking: SingleFlight[str, ResourceType] = SingleFlight()

    async def user(self, organization_id: str, request_id: str) -> ResourceType:
        """The User of an organization. Refuses (503) when usersvc is away."""
        kept = self._kept.get(organization_id)
        if kept is not None and self._monotonic() - kept.asked < self._lifetime_seconds:
            return kept.user_type
        return await self._asking.run(
            organization_id, lambda: self._ask(organization_id, request_id)
        )

    async def _ask(self, organization_id: str, request_id: str) -> ResourceType:
        asked = self._monotonic()
        request = pb.ListSchemasRequest(organization_id=organization_id)
        schemas = await self._client.list(request, Origin(request_id))
        known = self._kept.get(organization_id)
        unchanged = known is not None and known.schemas == schemas
        user_type = known.user_type if known and unchanged else to_user_type(schemas)
        self._kept[organization_id] = _Kept(schemas, user_type, asked)
        self._kept.move_to_end(organization_id)
        if len(self._kept) > MAX_ORGANIZATIONS:
            self._kept.popitem(last=False)
        return user_type
