"""The servicer of SsoService."""
# ruff: noqa: N802 - names of the contract

from dataclasses import replace
from typing import TypeAlias

import grpc
from cloudacademy.keys.v1 import sso_pb2, sso_pb2_grpc

from chassis.clock import Clock
from chassis.errors import InvalidField, Refusal
from chassis.rpc.uuids import read_uuid
from keysvc.domain import sso
from keysvc.domain.errors import ORGANIZATION_NOT_FOUND, SSO_CONNECTION_NOT_FOUND
from keysvc.domain.sso import SsoConnection, SsoSetup
from keysvc.rpc import certificates, convert
from keysvc.store.sso import SsoStore

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"

SetActiveRequest: TypeAlias = (
    sso_pb2.ActivateSsoConnectionRequest | sso_pb2.DeactivateSsoConnectionRequest
)


class SsoServicer(sso_pb2_grpc.SsoServiceServicer):
    """The single sign-on connection of each organization."""

    def __init__(self, store: SsoStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def GetSsoConnection(
        self, request: sso_pb2.GetSsoConnectionRequest, context: Context
    ) -> sso_pb2.GetSsoConnectionResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        connection = await self._store.get(organization_id)
        return sso_pb2.GetSsoConnectionResponse(
            connection=convert.sso_connection_message(connection, self._clock())
        )

    async def UpdateSsoConnection(
        self, request: sso_pb2.UpdateSsoConnectionRequest, context: Context
    ) -> sso_pb2.UpdateSsoConnectionResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        actor = convert.read_actor(request.actor)
        setup = self._read_setup(request.connection)
        connection = await self._store.update(
            organization_id,
            setup,
            (request.etag, request.connection.etag),
            actor,
            self._clock,
        )
        return sso_pb2.UpdateSsoConnectionResponse(
            connection=convert.sso_connection_message(connection, self._clock())
        )

    async def RecordSsoTest(
        self, request: sso_pb2.RecordSsoTestRequest, context: Context
    ) -> sso_pb2.RecordSsoTestResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        actor = convert.read_actor(request.actor)
        connection = await self._store.record_test(
            organization_id, request.etag, actor, self._clock
        )
        return sso_pb2.RecordSsoTestResponse(
            connection=convert.sso_connection_message(connection, self._clock())
        )

    async def ActivateSsoConnection(
        self, request: sso_pb2.ActivateSsoConnectionRequest, context: Context
    ) -> sso_pb2.ActivateSsoConnectionResponse:
        return sso_pb2.ActivateSsoConnectionResponse(
            connection=await self._set_active(request, True)
        )

    async def DeactivateSsoConnection(
        self, request: sso_pb2.DeactivateSsoConnectionRequest, context: Context
    ) -> sso_pb2.DeactivateSsoConnectionResponse:
        return sso_pb2.DeactivateSsoConnectionResponse(
            connection=await self._set_active(request, False)
        )

    async def FindSsoConnection(
        self, request: sso_pb2.FindSsoConnectionRequest, context: Context
    ) -> sso_pb2.FindSsoConnectionResponse:
        match request.WhichOneof("of"):
            case "email":
                connection = await self._store.find_by_domain(
                    sso.domain_of(request.email), self._clock()
                )
            case "organization_id":
                connection = await self._find_by_organization(request.organization_id)
            case _:
                raise InvalidField("of", "must be set")
        return sso_pb2.FindSsoConnectionResponse(
            connection=convert.sso_connection_message(connection, self._clock()),
            organization_display_name=connection.organization_name,
        )

    async def _find_by_organization(self, text: str) -> SsoConnection:
        try:
            connection = await self._store.get(read_uuid("organization_id", text))
        except Refusal as refusal:
            if refusal.kind is not ORGANIZATION_NOT_FOUND:
                raise
            raise Refusal(SSO_CONNECTION_NOT_FOUND) from None
        if not connection.version:
            raise Refusal(SSO_CONNECTION_NOT_FOUND)
        return connection

    async def _set_active(self, request: SetActiveRequest, active: bool) -> sso_pb2.SsoConnection:
        organization_id = read_uuid("organization_id", request.organization_id)
        actor = convert.read_actor(request.actor)
        return convert.sso_connection_message(
            await self._store.set_active(organization_id, active, actor, self._clock),
            self._clock(),
        )

    def _read_setup(self, message: sso_pb2.SsoConnection) -> SsoSetup:
        setup = sso.normalize_setup(convert.read_sso_setup(message))
        now = self._clock()
        unique = dict.fromkeys(
            certificates.normalize_certificate(each, now) for each in setup.certificates
        )
        return replace(setup, certificates=tuple(unique))
