"""The servicer of OrganizationService."""
# ruff: noqa: N802 - names of the contract

from typing import TypeAlias

import grpc
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc

from chassis.clock import Clock
from chassis.rpc.uuids import read_uuid
from keysvc.domain.organizations import NewOrganization, Organization, Region
from keysvc.domain.pages import BEFORE_ALL, Position
from keysvc.rpc import convert, page_tokens
from keysvc.store.organizations import OrganizationStore

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class OrganizationServicer(keys_pb2_grpc.OrganizationServiceServicer):
    """The organizations of this region."""

    def __init__(self, store: OrganizationStore, region: Region, clock: Clock) -> None:
        self._store = store
        self._region = region
        self._clock = clock

    async def CreateOrganization(
        self, request: keys_pb2.CreateOrganizationRequest, context: Context
    ) -> keys_pb2.CreateOrganizationResponse:
        requested = request.organization
        new = NewOrganization(
            read_uuid("organization.id", requested.id) if requested.id else None,
            requested.display_name,
            convert.read_region("organization.region", requested.region, self._region),
        )
        organization = await self._store.create(new, self._clock())
        return keys_pb2.CreateOrganizationResponse(
            organization=convert.organization_message(organization)
        )

    async def GetOrganization(
        self, request: keys_pb2.GetOrganizationRequest, context: Context
    ) -> keys_pb2.GetOrganizationResponse:
        organization_id = read_uuid("organization_id", request.organization_id)
        organization = await self._store.get(organization_id)
        return keys_pb2.GetOrganizationResponse(
            organization=convert.organization_message(organization)
        )

    async def ListOrganizations(
        self, request: keys_pb2.ListOrganizationsRequest, context: Context
    ) -> keys_pb2.ListOrganizationsResponse:
        size = convert.read_page_size(request.page_size)
        start = page_tokens.from_token(
            page_tokens.ALL_ORGANIZATIONS, request.page_token, BEFORE_ALL
        )
        organizations = await self._store.list_after(start, size + 1)
        page, next_page_token = convert.cut_page(
            page_tokens.ALL_ORGANIZATIONS, organizations, size, _position
        )
        return keys_pb2.ListOrganizationsResponse(
            organizations=[convert.organization_message(organization) for organization in page],
            next_page_token=next_page_token,
        )


def _position(organization: Organization) -> Position:
    return Position(organization.create_time, organization.organization_id)
