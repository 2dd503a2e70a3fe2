"""The client of usersvc for an organization's custom schemas."""

from collections.abc import Sequence

import grpc
from cloudacademy.users.v1 import schemas_pb2 as pb
from cloudacademy.users.v1 import schemas_pb2_grpc

from gateway.backend.client import Origin, call
from gateway.backend.watch import Stream


class SchemaClient:
    """Reads the custom schemas of an organization from usersvc.

    An error of the service is raised as `gateway.backend.errors.RefusedError`.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = schemas_pb2_grpc.SchemaServiceStub(channel)

    async def list(self, request: pb.ListSchemasRequest, origin: Origin) -> Sequence[pb.Schema]:
        """Read all schemas of an organization."""
        response = await call(self._stub.ListSchemas, request, origin)
        return response.schemas

    def watch(self) -> Stream[pb.WatchSchemasResponse]:
        """Follow the changes of schemas of all organizations."""
        return self._stub.WatchSchemas(pb.WatchSchemasRequest())
