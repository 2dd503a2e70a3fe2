"""The services as the gateway calls them: each call with a deadline and a request id."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import grpc
from cloudacademy.users.v1 import users_pb2 as pb
from cloudacademy.users.v1 import users_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.certificates import Certificates
from chassis.channel import DEADLINE_SECONDS, connect
from chassis.tracing import Tracing
from gateway.errors import translate

USER_SERVICE: Final = "cloudacademy.users.v1.UserService"
USER_READS: Final = ("GetUser", "ListUsers")
GROUP_SERVICE: Final = "cloudacademy.users.v1.GroupService"
GROUP_READS: Final = ("GetGroup", "ListGroups", "ListMembers")
SCHEMA_SERVICE: Final = "cloudacademy.users.v1.SchemaService"
SCHEMA_READS: Final = ("ListSchemas",)
KEY_SERVICE: Final = "cloudacademy.keys.v1.KeyService"
HEALTH_SECONDS: Final = 2.0

Response = TypeVar("Response")


class UserClient:
    """The users of an organization, kept by usersvc.

    What the service refuses is raised as `gateway.errors.RefusedError`.
    """

    def __init__(self, channel: grpc.aio.Channel, tenant_urls: Mapping[str, str]) -> None:
        self._stub = users_pb2_grpc.UserServiceStub(channel)
        self._tenant_urls = tenant_urls

    async def create(self, request: pb.CreateUserRequest, request_id: str) -> pb.User:
        """Add a user."""
        response = await call(self._stub.CreateUser, request, request_id, self._tenant_urls)
        return response.user

    async def get(self, request: pb.GetUserRequest, request_id: str) -> pb.User:
        """Read a user."""
        response = await call(self._stub.GetUser, request, request_id, self._tenant_urls)
        return response.user

    async def list(self, request: pb.ListUsersRequest, request_id: str) -> pb.ListUsersResponse:
        """Read a page of users."""
        return await call(self._stub.ListUsers, request, request_id, self._tenant_urls)

    async def update(self, request: pb.UpdateUserRequest, request_id: str) -> pb.User:
        """Change a user."""
        response = await call(self._stub.UpdateUser, request, request_id, self._tenant_urls)
        return response.user

    async def delete(self, request: pb.DeleteUserRequest, request_id: str) -> None:
        """Remove a user."""
        await call(self._stub.DeleteUser, request, request_id, self._tenant_urls)


async def call(
    method: "grpc.aio.UnaryUnaryMultiCallable[Any, Response]",
    request: object,
    request_id: str,
    tenant_urls: Mapping[str, str],
) -> Response:
    """The answer of one call; what was refused is raised as RefusedError."""
    try:
        return await method(
            request, timeout=DEADLINE_SECONDS, metadata=(("x-request-id", request_id),)
        )
    except grpc.aio.AioRpcError as error:
        raise translate(error, tenant_urls) from error


def user_channel(
    target: str, certificates: Certificates | None = None, tracing: Tracing | None = None
) -> grpc.aio.Channel:
    """A channel to usersvc. Only reads are repeated by themselves."""
    reads = {
        USER_SERVICE: USER_READS,
        GROUP_SERVICE: GROUP_READS,
        SCHEMA_SERVICE: SCHEMA_READS,
    }
    return connect(target, reads, certificates, tracing)


def key_channel(
    target: str, certificates: Certificates | None = None, tracing: Tracing | None = None
) -> grpc.aio.Channel:
    """A channel to keysvc."""
    return connect(target, {KEY_SERVICE: ("Authenticate",)}, certificates, tracing)


async def all_serving(*channels: grpc.aio.Channel) -> bool:
    """Whether every service behind the channels says that it can answer."""
    answers = await asyncio.gather(*(_is_serving(channel) for channel in channels))
    return all(answers)


async def _is_serving(channel: grpc.aio.Channel) -> bool:
    stub = health_pb2_grpc.HealthStub(channel)
    try:
        response = await stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS)
    except grpc.aio.AioRpcError:
        return False
    return bool(response.status == health_pb2.HealthCheckResponse.SERVING)
