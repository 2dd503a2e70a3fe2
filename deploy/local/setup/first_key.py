"""The first organization with an active integration, and a valid key."""

import grpc
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc

from chassis.rpc.status import from_rpc_error
from deploy.local.region import HOST

DISPLAY_NAME = "Acme"
CREATED_BY = "make run"
DEADLINE_SECONDS = 15.0


async def first_organization(keysvc: str) -> str:
    """The id of the oldest organization; one is created if there is none."""
    async with _channel(keysvc) as channel:
        return await _first_organization(channel)


async def valid_token(keysvc: str, stored: str | None) -> str:
    """The stored token while its key is valid, else the token of a new key.

    The new key belongs to the oldest organization; one is created if there is none. A key that is
    refused only because its integration was deactivated is kept: that was intended.
    """
    async with _channel(keysvc) as channel:
        if stored is not None and await _is_valid(channel, stored):
            return stored
        return await _generate_key(channel, await _first_organization(channel))


def _channel(keysvc: str) -> grpc.aio.Channel:
    # gRPC would use an HTTP proxy even for this machine.
    return grpc.aio.insecure_channel(keysvc, options=[("grpc.enable_http_proxy", 0)])


async def _is_valid(channel: grpc.aio.Channel, token: str) -> bool:
    request = keys_pb2.AuthenticateRequest(token=token, client_address=HOST)
    try:
        await keys_pb2_grpc.KeyServiceStub(channel).Authenticate(
            request, timeout=DEADLINE_SECONDS, wait_for_ready=True
        )
    except grpc.aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.UNAUTHENTICATED:
            raise
        return from_rpc_error(error).reason == "INTEGRATION_INACTIVE"
    return True


async def _first_organization(channel: grpc.aio.Channel) -> str:
    stub = keys_pb2_grpc.OrganizationServiceStub(channel)
    listed = await stub.ListOrganizations(
        keys_pb2.ListOrganizationsRequest(page_size=1),
        timeout=DEADLINE_SECONDS,
        wait_for_ready=True,
    )
    if listed.organizations:
        return listed.organizations[0].id
    created = await stub.CreateOrganization(
        keys_pb2.CreateOrganizationRequest(
            organization=keys_pb2.Organization(display_name=DISPLAY_NAME)
        ),
        timeout=DEADLINE_SECONDS,
    )
    return created.organization.id


async def _generate_key(channel: grpc.aio.Channel, organization_id: str) -> str:
    await keys_pb2_grpc.IntegrationServiceStub(channel).ActivateIntegration(
        keys_pb2.ActivateIntegrationRequest(organization_id=organization_id),
        timeout=DEADLINE_SECONDS,
    )
    generated = await keys_pb2_grpc.KeyServiceStub(channel).GenerateKey(
        keys_pb2.GenerateKeyRequest(organization_id=organization_id, created_by=CREATED_BY),
        timeout=DEADLINE_SECONDS,
    )
    return generated.token
