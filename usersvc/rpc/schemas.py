"""The servicer of SchemaService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from cloudacademy.users.v1 import schemas_pb2, schemas_pb2_grpc

from chassis.clock import Clock
from chassis.database.notifications import NotificationFeed
from chassis.rpc.uuids import read_uuid
from chassis.rpc.watch import watch
from usersvc.domain import schemas
from usersvc.rpc.convert.schema import from_schema, to_schema
from usersvc.store.schemas import SchemaStore

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class SchemaServicer(schemas_pb2_grpc.SchemaServiceServicer):
    """Converts requests to domain values, calls the store, and converts the results to messages."""

    def __init__(self, store: SchemaStore, feed: NotificationFeed, clock: Clock) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock

    async def CreateSchema(  # noqa: N802 - the name in the proto file
        self, request: schemas_pb2.CreateSchemaRequest, context: Context
    ) -> schemas_pb2.CreateSchemaResponse:
        """Add a schema."""
        organization_id = read_uuid("organization_id", request.organization_id)
        schema = schemas.normalized(to_schema(request.schema))
        schemas.check(schema)
        owned = await self._store.create(organization_id, schema, self._clock())
        return schemas_pb2.CreateSchemaResponse(schema=from_schema(owned))

    async def GetSchema(  # noqa: N802
        self, request: schemas_pb2.GetSchemaRequest, context: Context
    ) -> schemas_pb2.GetSchemaResponse:
        """Read one schema."""
        organization_id = read_uuid("organization_id", request.organization_id)
        owned = await self._store.get(organization_id, _urn(request.urn))
        return schemas_pb2.GetSchemaResponse(schema=from_schema(owned))

    async def ListSchemas(  # noqa: N802
        self, request: schemas_pb2.ListSchemasRequest, context: Context
    ) -> schemas_pb2.ListSchemasResponse:
        """Read all schemas of an organization."""
        owned = await self._store.list(read_uuid("organization_id", request.organization_id))
        return schemas_pb2.ListSchemasResponse(schemas=[from_schema(each) for each in owned])

    async def DeleteSchema(  # noqa: N802
        self, request: schemas_pb2.DeleteSchemaRequest, context: Context
    ) -> schemas_pb2.DeleteSchemaResponse:
        """Remove a schema that no user has values for."""
        organization_id = read_uuid("organization_id", request.organization_id)
        await self._store.delete(organization_id, _urn(request.urn))
        return schemas_pb2.DeleteSchemaResponse()

    async def WatchSchemas(  # noqa: N802
        self, request: schemas_pb2.WatchSchemasRequest, context: Context
    ) -> AsyncIterator[schemas_pb2.WatchSchemasResponse]:
        """Stream the organizations whose schemas change."""
        message = schemas_pb2.WatchSchemasResponse
        stream = watch(
            self._feed,
            reset=message(reset=message.Reset()),
            heartbeat=message(heartbeat=message.Heartbeat()),
            notification=_change,
        )
        async with aclosing(stream) as messages:
            async for each in messages:
                yield each


def _change(organization_id: str) -> schemas_pb2.WatchSchemasResponse:
    message = schemas_pb2.WatchSchemasResponse
    change = message.OrganizationChange(organization_id=organization_id)
    return message(organization_change=change)


def _urn(text: str) -> str:
    """The URN to look up, without NUL characters, which PostgreSQL cannot store."""
    return text.replace("\0", "")
