"""The schemas of an organization, as the gateway calls usersvc for them."""

from collections.abc import Mapping, Sequence

import grpc
from cloudacademy.users.v1 import schemas_pb2 as pb
from cloudacademy.users.v1 import schemas_pb2_grpc

from gateway.backend.client import Origin, call


class SchemaClient:
    """The schemas of an organization, kept by usersvc.

    What the service refuses is raised as `gateway.backend.errors.RefusedError`.
    """

    def __init__(self, channel: grpc.aio.Channel, tenant_urls: Mapping[str, str]) -> None:
        self._stub = schemas_pb2_grpc.SchemaServiceStub(channel)
        self._tenant_urls = tenant_urls

    async def list(self, organization_id: str, request_id: str) -> Sequence[pb.Schema]:
        """Read all schemas of an organization."""
        request = pb.ListSchemasRequest(organization_id=organization_id)
        response = await call(
            self._stub.ListSchemas, request, Origin(request_id), self._tenant_urls
        )
        return response.schemas
