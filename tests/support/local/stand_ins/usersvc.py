"""A stand-in usersvc with user names only; it uses the real contract and a real database.

Environment variables make it fail or ignore SIGTERM, to test the supervisor.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
import uuid

import asyncpg
import grpc
from cloudacademy.users.v1 import sessions_pb2, sessions_pb2_grpc, users_pb2, users_pb2_grpc

from chassis.errors import Code, Refusal, RefusalKind
from chassis.rpc.status import to_trailing_metadata

SCHEMA = "CREATE TABLE IF NOT EXISTS person (id text, name text, roles text[], active boolean)"


USER_INACTIVE = RefusalKind("USER_INACTIVE", Code.PERMISSION_DENIED, "not active")


def log(entry):
    sys.stdout.write(json.dumps(entry) + "\n")
    sys.stdout.flush()


# ruff: noqa: N802 - the contract names the methods
class StandIn(users_pb2_grpc.UserServiceServicer, sessions_pb2_grpc.SessionServiceServicer):
    def __init__(self, pool):
        self._pool = pool

    async def ListUsers(self, request, context):
        name = request.filter.comparison.text
        rows = await self._pool.fetch("SELECT id FROM person WHERE name = $1", name)
        return users_pb2.ListUsersResponse(users=[users_pb2.User(**row) for row in rows])

    async def CreateUser(self, request, context):
        user = users_pb2.User(id=str(uuid.uuid4()))
        roles = [role.value for role in request.user.roles]
        await self._pool.execute(
            "INSERT INTO person VALUES ($1, $2, $3, true)", user.id, request.user.user_name, roles
        )
        return users_pb2.CreateUserResponse(user=user)

    async def CreateSignInLink(self, request, context):
        if not await self._pool.fetchval(
            "SELECT active FROM person WHERE id = $1", request.user_id
        ):
            refusal = Refusal(USER_INACTIVE)
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, refusal.detail, to_trailing_metadata(refusal)
            )
        return sessions_pb2.CreateSignInLinkResponse(token=secrets.token_hex(8))


async def migrate() -> None:
    connection = await asyncpg.connect(os.environ["USERSVC_DATABASE_URL"])
    await connection.execute(SCHEMA)
    await connection.close()


async def serve() -> None:
    if "STAND_IN_FAILS" in os.environ:
        sys.exit("USERSVC_SOMETHING is 'x', not a number")
    if "STAND_IN_STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    async with asyncpg.create_pool(os.environ["USERSVC_DATABASE_URL"], min_size=1) as pool:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        stand_in = StandIn(pool)
        users_pb2_grpc.add_UserServiceServicer_to_server(stand_in, server)
        sessions_pb2_grpc.add_SessionServiceServicer_to_server(stand_in, server)
        port = server.add_insecure_port(os.environ["USERSVC_LISTEN"])
        await server.start()
        log({"event": "listening", "address": f"127.0.0.1:{port}"})
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run({"migrate": migrate, "serve": serve}[sys.argv[1]]())
