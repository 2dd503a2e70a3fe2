"""The first administrator of the first organization, and a sign-in link."""

import grpc
from cloudacademy.users.v1 import (
    filter_pb2,
    sessions_pb2,
    sessions_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)

from chassis.rpc.status import from_rpc_error

USER_NAME = "admin@acme.example"
ROLE = "Administrator"
DEADLINE_SECONDS = 15.0


async def sign_in_token(usersvc: str, organization_id: str) -> str | None:
    """The token of a new sign-in link for the administrator, who is created if missing.

    None if the administrator was deactivated: this was intended and is not undone.
    """
    # gRPC would use an HTTP proxy even for this machine.
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(usersvc, options=options) as channel:
        user_id = await _administrator(channel, organization_id)
        try:
            created = await sessions_pb2_grpc.SessionServiceStub(channel).CreateSignInLink(
                sessions_pb2.CreateSignInLinkRequest(
                    organization_id=organization_id, user_id=user_id
                ),
                timeout=DEADLINE_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            if from_rpc_error(error).reason != "USER_INACTIVE":
                raise
            return None
        return created.token


async def _administrator(channel: grpc.aio.Channel, organization_id: str) -> str:
    stub = users_pb2_grpc.UserServiceStub(channel)
    by_user_name = filter_pb2.Comparison(
        field="user_name", operator=filter_pb2.OPERATOR_EQUAL, text=USER_NAME
    )
    listed = await stub.ListUsers(
        users_pb2.ListUsersRequest(
            organization_id=organization_id, filter=filter_pb2.Filter(comparison=by_user_name)
        ),
        timeout=DEADLINE_SECONDS,
        wait_for_ready=True,
    )
    if listed.users:
        return listed.users[0].id
    user = users_pb2.User(user_name=USER_NAME, roles=[users_pb2.TypedValue(value=ROLE)])
    created = await stub.CreateUser(
        users_pb2.CreateUserRequest(organization_id=organization_id, user=user),
        timeout=DEADLINE_SECONDS,
    )
    return created.user.id
