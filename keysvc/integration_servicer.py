"""IntegrationService over the store."""
# ruff: noqa: N802 - the contract names the methods

from typing import TypeAlias

import grpc
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc

from chassis.clock import Clock
from keysvc import wire
from keysvc.organization_store import OrganizationStore

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class IntegrationServicer(keys_pb2_grpc.IntegrationServiceServicer):
    """The Microsoft Entra ID integration of each organization."""

    def __init__(self, store: OrganizationStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def GetIntegration(
        self, request: keys_pb2.GetIntegrationRequest, context: Context
    ) -> keys_pb2.GetIntegrationResponse:
        organization_id = wire.read_id("organization_id", request.organization_id)
        integration = await self._store.get_integration(organization_id)
        return keys_pb2.GetIntegrationResponse(integration=wire.integration_message(integration))

    async def ActivateIntegration(
        self, request: keys_pb2.ActivateIntegrationRequest, context: Context
    ) -> keys_pb2.ActivateIntegrationResponse:
        return keys_pb2.ActivateIntegrationResponse(
            integration=await self._switch(request.organization_id, True)
        )

    async def DeactivateIntegration(
        self, request: keys_pb2.DeactivateIntegrationRequest, context: Context
    ) -> keys_pb2.DeactivateIntegrationResponse:
        return keys_pb2.DeactivateIntegrationResponse(
            integration=await self._switch(request.organization_id, False)
        )

    async def _switch(self, organization_id: str, active: bool) -> keys_pb2.Integration:
        read = wire.read_id("organization_id", organization_id)
        integration = await self._store.switch_integration(read, active, self._clock())
        return wire.integration_message(integration)
