"""An operator's calls of the services' gRPC API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from cloudacademy.keys.v1 import (
    audit_pb2_grpc,
    domains_pb2_grpc,
    keys_pb2_grpc,
    sso_pb2_grpc,
)
from cloudacademy.keys.v1 import keys_pb2 as pb
from cloudacademy.users.v1 import (
    schemas_pb2,
    schemas_pb2_grpc,
    sessions_pb2_grpc,
    users_pb2_grpc,
)

from tests.support.stack import Stack


@dataclass(frozen=True, slots=True)
class Operator:
    """Stubs of all services of keysvc, and of the schema, user and session services of usersvc."""

    organizations: "keys_pb2_grpc.OrganizationServiceAsyncStub"
    integrations: "keys_pb2_grpc.IntegrationServiceAsyncStub"
    keys: "keys_pb2_grpc.KeyServiceAsyncStub"
    sso: "sso_pb2_grpc.SsoServiceAsyncStub"
    domains: "domains_pb2_grpc.DomainServiceAsyncStub"
    audit: "audit_pb2_grpc.AuditServiceAsyncStub"
    schemas: "schemas_pb2_grpc.SchemaServiceAsyncStub"
    users: "users_pb2_grpc.UserServiceAsyncStub"
    sessions: "sessions_pb2_grpc.SessionServiceAsyncStub"

    async def create_organization(self, name: str = "Initech") -> str:
        """Create an organization with an active integration; returns its id."""
        request = pb.CreateOrganizationRequest(organization=pb.Organization(display_name=name))
        created = await self.organizations.CreateOrganization(request)
        await self.integrations.ActivateIntegration(
            pb.ActivateIntegrationRequest(organization_id=created.organization.id)
        )
        return created.organization.id

    async def generate_key(self, organization_id: str) -> pb.GenerateKeyResponse:
        """Generate a key for an organization."""
        return await self.keys.GenerateKey(
            pb.GenerateKeyRequest(organization_id=organization_id, created_by="a test")
        )

    async def register(self, organization_id: str, schema: schemas_pb2.Schema) -> None:
        """Register a schema, which adds attributes to the users of an organization."""
        await self.schemas.CreateSchema(
            schemas_pb2.CreateSchemaRequest(organization_id=organization_id, schema=schema)
        )

    async def revoke(self, key: pb.Key) -> None:
        """Revoke a key."""
        await self.keys.RevokeKey(
            pb.RevokeKeyRequest(
                organization_id=key.organization_id, key_id=key.id, revoked_by="a test"
            )
        )


@asynccontextmanager
async def operator(stack: Stack) -> AsyncIterator[Operator]:
    """An operator of a running region."""
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{stack.service_port('keysvc')}") as keys,
        grpc.aio.insecure_channel(f"127.0.0.1:{stack.service_port('usersvc')}") as users,
    ):
        yield Operator(
            keys_pb2_grpc.OrganizationServiceStub(keys),
            keys_pb2_grpc.IntegrationServiceStub(keys),
            keys_pb2_grpc.KeyServiceStub(keys),
            sso_pb2_grpc.SsoServiceStub(keys),
            domains_pb2_grpc.DomainServiceStub(keys),
            audit_pb2_grpc.AuditServiceStub(keys),
            schemas_pb2_grpc.SchemaServiceStub(users),
            users_pb2_grpc.UserServiceStub(users),
            sessions_pb2_grpc.SessionServiceStub(users),
        )
