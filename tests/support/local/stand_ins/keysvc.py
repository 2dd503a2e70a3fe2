"""A stand-in keysvc with plain-text tokens; it uses the real contract and a real database."""

import asyncio
import json
import os
import secrets
import sys
import uuid

import asyncpg
import grpc
from cloudacademy.keys.v1 import keys_pb2, keys_pb2_grpc

SCHEMA = """
CREATE TABLE IF NOT EXISTS organization (id text, display_name text);
CREATE TABLE IF NOT EXISTS api_key (token text);
"""


def log(entry):
    sys.stdout.write(json.dumps(entry) + "\n")
    sys.stdout.flush()


# ruff: noqa: N802 - the contract names the methods
class StandIn(
    keys_pb2_grpc.OrganizationServiceServicer,
    keys_pb2_grpc.IntegrationServiceServicer,
    keys_pb2_grpc.KeyServiceServicer,
):
    def __init__(self, pool):
        self._pool = pool

    async def ListOrganizations(self, request, context):
        rows = await self._pool.fetch("SELECT id, display_name FROM organization")
        organizations = [keys_pb2.Organization(**row) for row in rows]
        return keys_pb2.ListOrganizationsResponse(organizations=organizations)

    async def CreateOrganization(self, request, context):
        organization = keys_pb2.Organization(
            id=str(uuid.uuid4()), display_name=request.organization.display_name
        )
        await self._pool.execute(
            "INSERT INTO organization VALUES ($1, $2)", organization.id, organization.display_name
        )
        return keys_pb2.CreateOrganizationResponse(organization=organization)

    async def ActivateIntegration(self, request, context):
        return keys_pb2.ActivateIntegrationResponse()

    async def GenerateKey(self, request, context):
        token = f"{os.environ['KEYSVC_REGION']}_{secrets.token_hex(8)}"
        await self._pool.execute("INSERT INTO api_key VALUES ($1)", token)
        return keys_pb2.GenerateKeyResponse(token=token)

    async def Authenticate(self, request, context):
        if not await self._pool.fetch("SELECT FROM api_key WHERE token = $1", request.token):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "unknown")
        return keys_pb2.AuthenticateResponse()


async def migrate():
    connection = await asyncpg.connect(os.environ["KEYSVC_DATABASE_URL"])
    await connection.execute(SCHEMA)
    await connection.close()


async def serve():
    async with asyncpg.create_pool(os.environ["KEYSVC_DATABASE_URL"], min_size=1) as pool:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        stand_in = StandIn(pool)
        keys_pb2_grpc.add_OrganizationServiceServicer_to_server(stand_in, server)
        keys_pb2_grpc.add_IntegrationServiceServicer_to_server(stand_in, server)
        keys_pb2_grpc.add_KeyServiceServicer_to_server(stand_in, server)
        port = server.add_insecure_port(os.environ["KEYSVC_LISTEN"])
        await server.start()
        log({"event": "listening", "address": f"127.0.0.1:{port}"})
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run({"migrate": migrate, "serve": serve}[sys.argv[1]]())
