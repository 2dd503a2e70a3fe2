"""A change of a user that is too large to return succeeds without a body."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from cloudacademy.users.v1 import users_pb2, users_pb2_grpc
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.api.request import ScimRequest
from gateway.api.users import MEMORY_PER_BYTE, Users
from gateway.auth.authenticator import Caller
from gateway.backend.client import UserClient
from gateway.http.response_memory import ResponseMemory
from gateway.scim.patch import PATCH_OP_URN
from tests.support.servers import listening

ACME = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"
ANN = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e13"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
TITLE = {"op": "replace", "path": "title", "value": "Dr."}
PATCH = {"schemas": [PATCH_OP_URN], "Operations": [TITLE]}
PUT = {"schemas": [USER], "userName": "ann"}


class HugeUsers(users_pb2_grpc.UserServiceServicer):
    """Accepts every change and returns only the version: the user is too large."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.changes = 0

    async def UpdateUser(self, request, context):  # noqa: N802 - the contract's name
        self.changes += 1
        user = users_pb2.User(id=ANN, organization_id=ACME, etag="2")
        return users_pb2.UpdateUserResponse(user=user, omitted_bytes=self._size)


@pytest.fixture
def memory() -> ResponseMemory:
    return ResponseMemory()


@pytest.fixture
async def service(memory: ResponseMemory) -> AsyncIterator[tuple[HugeUsers, Users]]:
    servicer = HugeUsers(memory.largest // MEMORY_PER_BYTE + 1)
    server = grpc.aio.server()
    users_pb2_grpc.add_UserServiceServicer_to_server(servicer, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield servicer, Users(UserClient(channel))


@pytest.mark.parametrize(("method", "document"), [("patch", PATCH), ("replace", PUT)])
async def test_change_of_a_user_too_large_to_return_gets_204(
    memory: ResponseMemory, service: tuple[HugeUsers, Users], method: str, document: dict[str, Any]
):
    servicer, users = service
    no_headers = CIMultiDictProxy(CIMultiDict[str]())
    reservation = memory.reservation(ACME)
    request = ScimRequest(
        "r", "https://x", Caller(ACME, "k"), ANN, {}, no_headers, lambda: document, reservation
    )

    response = await getattr(users, method)(request)

    assert (response.status, response.body, response.headers) == (204, b"", {"ETag": 'W/"2"'})
    assert (servicer.changes, reservation.size) == (1, 0)
