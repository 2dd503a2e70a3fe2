"""The servicer of IntegrationService."""
# ruff: noqa: N802 - names of the contract

from typing import TypeAlias

import grpc
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc

from chassis.clock import Clock
from chassis.rpc.uuids import read_uuid
from keysvc.rpc import convert
from keysvc.store.organizations import OrganizationStore

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"

SetActiveRequest: TypeAlias = (
    keys_pb2.ActivateIntegrationRequest | keys_pb2.DeactivateIntegrationRequest
)


class IntegrationServicer(keys_pb2_grpc.IntegrationServiceServicer):
    """The provisioning integration of each organization."""

    def __init__(self, store: OrganizationStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def GetIntegration(
        self, request: keys_pb2.GetIntegrationRequest, context: Context
    ) -> keys_pb2.GetIntegrationResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        integration = await self._store.get_integration(organization_id)
        return keys_pb2.GetIntegrationResponse(integration=convert.integration_message(integration))

    async def ActivateIntegration(
        self, request: keys_pb2.ActivateIntegrationRequest, context: Context
    ) -> keys_pb2.ActivateIntegrationResponse:
        return keys_pb2.ActivateIntegrationResponse(
            integration=await self._set_active(request, True)
        )

    async def DeactivateIntegration(
        self, request: keys_pb2.DeactivateIntegrationRequest, context: Context
    ) -> keys_pb2.DeactivateIntegrationResponse:
        return keys_pb2.DeactivateIntegrationResponse(
            integration=await self._set_active(request, False)
        )

    async def _set_active(self, request: SetActiveRequest, active: bool) -> keys_pb2.Integration:
        organization_id = read_uuid("organization_id", request.organization_id)
        actor = convert.read_actor(request.actor)
        integration = await self._store.set_integration_active(
            organization_id, active, actor, self._clock
        )
        return convert.integration_message(integration)
