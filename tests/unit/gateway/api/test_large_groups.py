"""A change is refused before it is written if there is no memory to return the group."""

from collections.abc import AsyncIterator

import grpc
import pytest
from cloudacademy.users.v1 import groups_pb2, groups_pb2_grpc

from gateway.api.groups import SMALL_RESPONSE, Groups
from gateway.api.request import ScimRequest
from gateway.auth.authenticator import Caller
from gateway.backend.groups import GroupClient
from gateway.http.response_memory import ResponseMemory
from gateway.limits.rejections import RejectedError
from tests.support.servers import listening

ACME = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"
STAFF = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e13"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


class CountingGroups(groups_pb2_grpc.GroupServiceServicer):
    """Counts changes of groups; its groups have no members."""

    def __init__(self) -> None:
        self.changes = 0

    async def CreateGroup(self, request, context):  # noqa: N802 - the contract's name
        self.changes += 1
        return groups_pb2.CreateGroupResponse(group=groups_pb2.Group(id=STAFF, etag="1"))

    async def UpdateGroup(self, request, context):  # noqa: N802 - the contract's name
        self.changes += 1
        return groups_pb2.UpdateGroupResponse(group=groups_pb2.Group(id=STAFF, etag="2"))

    async def ListMembers(self, request, context):  # noqa: N802 - the contract's name
        return groups_pb2.ListMembersResponse()


@pytest.fixture
async def service() -> AsyncIterator[tuple[CountingGroups, Groups]]:
    servicer, server = CountingGroups(), grpc.aio.server()
    groups_pb2_grpc.add_GroupServiceServicer_to_server(servicer, server)
    async with (
        listening(server) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield servicer, Groups(GroupClient(channel))


async def request_with(members: int) -> ScimRequest:
    """A request with this number of members; its organization has no memory left."""
    memory = ResponseMemory(wait_seconds=0.0)
    await memory.reservation(ACME).acquire(memory.largest)
    member_values = [{"value": f"unknown {number}"} for number in range(members)]
    document = {"schemas": [GROUP], "displayName": "Staff", "members": member_values}
    return ScimRequest(
        "r",
        "https://x",
        Caller(ACME, "k"),
        STAFF,
        {},
        {},
        lambda: document,
        memory.reservation(ACME),
    )


@pytest.mark.parametrize("method", ["create", "replace"])
async def test_large_group_without_memory_to_return_it_is_not_changed(
    service: tuple[CountingGroups, Groups], method: str
):
    servicer, groups = service
    with pytest.raises(RejectedError):
        await getattr(groups, method)(await request_with(SMALL_RESPONSE + 1))
    assert servicer.changes == 0

    response = await getattr(groups, method)(await request_with(SMALL_RESPONSE))
    assert (response.status, servicer.changes) == (201 if method == "create" else 200, 1)
