"""Calls to usersvc and keysvc: each has a deadline and carries the request id."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from cloudacademy.batch.v1.batch_pb2_grpc import BatchServiceStub
from cloudacademy.users.v1 import filter_pb2, users_pb2_grpc
from cloudacademy.users.v1 import users_pb2 as pb

from chassis.batching.limits import STREAM_ITEM_BYTES
from chassis.clock import Clock, system_clock
from chassis.concurrency.supervisor import Supervisor
from chassis.observability.tracing import Tracing
from chassis.rpc.certificates import Certificates
from chassis.rpc.channel import (
    ACCEPTS_CALLS,
    DEADLINE_SECONDS,
    accepts_calls,
    connect,
    may_still_arrive,
)
from chassis.rpc.deadline import deadline_metadata
from gateway.backend.batching.dispatcher import BatchChannel, Call
from gateway.backend.errors import translate

if TYPE_CHECKING:
    from cloudacademy.users.v1.users_pb2_grpc import UserServiceAsyncStub

USERSVC: Final = "usersvc"
KEYSVC: Final = "keysvc"
USER_SERVICE: Final = "cloudacademy.users.v1.UserService"
USER_READS: Final = ("GetUser", "ListUsers")
GROUP_SERVICE: Final = "cloudacademy.users.v1.GroupService"
GROUP_READS: Final = ("GetGroup", "ListGroups", "ListMembers")
WALK_SERVICE: Final = "cloudacademy.users.v1.WalkService"
WALK_REPEATABLE: Final = ("FindWalk", "SaveWalk")
SCHEMA_SERVICE: Final = "cloudacademy.users.v1.SchemaService"
SCHEMA_READS: Final = ("ListSchemas",)
ACTIVITY_READS: Final = ("ListActivities", "GetActivity", "CountActivities", "ListCycles")
KEY_SERVICE: Final = "cloudacademy.keys.v1.KeyService"
KEYSVC_READS: Final = {
    KEY_SERVICE: ("Authenticate", "ListKeys"),
    "cloudacademy.keys.v1.IntegrationService": ("GetIntegration",),
    "cloudacademy.keys.v1.OrganizationService": ("GetOrganization",),
    "cloudacademy.keys.v1.AuditService": ("ListAuditEvents",),
    "cloudacademy.keys.v1.SsoService": ("GetSsoConnection", "FindSsoConnection"),
}
MAX_BATCHED_RESPONSE_BYTES: Final = STREAM_ITEM_BYTES
"""The largest response of a batched call, in bytes; only a larger one reserves memory."""

Response = TypeVar("Response")


@dataclass(frozen=True, slots=True)
class Origin:
    """The HTTP request that causes a call, and the API key that authenticated it, if any."""

    request_id: str
    key_id: str = ""
    client: str = ""
    """The name of the client application, in ASCII; empty for the portal and background tasks."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The gRPC metadata that each call carries."""
        pairs = (
            ("x-request-id", self.request_id),
            ("x-key-id", self.key_id),
            ("x-client", self.client),
        )
        return tuple(pair for pair in pairs if pair[1])


class UserClient:
    """Reads and changes the users of an organization in usersvc.

    An error of the service is raised as `gateway.backend.errors.RefusedError`.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        batched: grpc.aio.Channel | None = None,
    ) -> None:
        self._stub = users_pb2_grpc.UserServiceStub(batched or channel)
        # A page of users is large: other calls on its stream would wait behind it.
        self._unbatched_stub = users_pb2_grpc.UserServiceStub(channel)

    async def create(self, request: pb.CreateUserRequest, origin: Origin) -> pb.User:
        """Create a user."""
        response = await call(self._stub.CreateUser, request, origin)
        return response.user

    async def get(self, request: pb.GetUserRequest, origin: Origin) -> pb.GetUserResponse:
        """Read a user; `max_bytes` of the request limits the response."""
        return await call(self._stub_for(request.max_bytes).GetUser, request, origin)

    async def list(self, request: pb.ListUsersRequest, origin: Origin) -> pb.ListUsersResponse:
        """Read a page of users; `max_bytes` of the request limits the response."""
        return await call(self._stub_for(request.max_bytes).ListUsers, request, origin)

    async def update(self, request: pb.UpdateUserRequest, origin: Origin) -> pb.UpdateUserResponse:
        """Update a user."""
        return await call(self._stub.UpdateUser, request, origin)

    async def delete(self, request: pb.DeleteUserRequest, origin: Origin) -> None:
        """Delete a user."""
        await call(self._stub.DeleteUser, request, origin)

    def _stub_for(self, max_bytes: int) -> "UserServiceAsyncStub":
        return self._stub if max_bytes <= MAX_BATCHED_RESPONSE_BYTES else self._unbatched_stub


def is_unique_lookup(request: pb.ListUsersRequest) -> bool:
    """Whether the filter compares one identifier with eq, as identity providers do to match."""
    comparison = request.filter.comparison
    return comparison.operator == filter_pb2.OPERATOR_EQUAL and comparison.field in (
        "user_name",
        "external_id",
        "id",
    )


async def call(
    method: Call[Response],
    request: object,
    origin: Origin,
    clock: Clock = system_clock,
) -> Response:
    """Call a method and return its response; any gRPC error is raised as RefusedError.

    A failed call is never executed later: a client that reads the error may send the opposite
    change. So if the network may still deliver the call, the error is raised only after the
    deadline, when the service no longer starts the call.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_SECONDS
    metadata = (*origin.metadata, deadline_metadata(DEADLINE_SECONDS, clock))
    try:
        return await method(request, timeout=DEADLINE_SECONDS, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        if may_still_arrive(error):
            await asyncio.sleep(deadline - loop.time())
        raise translate(error) from error


def user_channel(
    target: str,
    certificates: Certificates | None = None,
    tracing: Tracing | None = None,
    tasks: Supervisor | None = None,
    *,
    region: str = "",
) -> grpc.aio.Channel:
    """A channel to usersvc of a region, or of any. gRPC retries only calls that may be repeated."""
    repeatable = {
        USER_SERVICE: USER_READS,
        GROUP_SERVICE: GROUP_READS,
        SCHEMA_SERVICE: SCHEMA_READS,
        WALK_SERVICE: WALK_REPEATABLE,
        "cloudacademy.users.v1.SessionService": ("GetSession",),
        "cloudacademy.users.v1.ActivityService": ACTIVITY_READS,
    }
    return connect(
        target,
        repeatable,
        certificates,
        tracing,
        tasks,
        health_service=_health_service(USERSVC, region),
    )


def batch_channel(channel: grpc.aio.Channel) -> BatchChannel:
    """A channel to usersvc whose small calls share streams."""
    services = {
        USER_SERVICE: USER_READS,
        GROUP_SERVICE: GROUP_READS,
        WALK_SERVICE: WALK_REPEATABLE,
    }
    repeatable = {f"/{service}/{name}" for service, names in services.items() for name in names}
    return BatchChannel(BatchServiceStub(channel), channel, repeatable)


def key_channel(
    target: str,
    certificates: Certificates | None = None,
    tracing: Tracing | None = None,
    tasks: Supervisor | None = None,
    *,
    region: str = "",
) -> grpc.aio.Channel:
    """A channel to keysvc of a region, or of any. gRPC retries only reads."""
    return connect(
        target,
        KEYSVC_READS,
        certificates,
        tracing,
        tasks,
        health_service=_health_service(KEYSVC, region),
    )


def _health_service(service: str, region: str) -> str:
    return accepts_calls(service, region) if region else ACCEPTS_CALLS
