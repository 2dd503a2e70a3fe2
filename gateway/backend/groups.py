"""The groups of an organization, as the gateway calls usersvc for them."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import grpc
from cloudacademy.users.v1 import groups_pb2 as pb
from cloudacademy.users.v1 import groups_pb2_grpc

from chassis.concurrency.fair_semaphore import FairSemaphore
from gateway.backend.client import Origin, call
from gateway.limits.rejections import no_slot

MEMBERS_PAGE: Final = 1_000
NAMED_MEMBERS_PAGE: Final = 500
"""Half a MiB with the longest names that are allowed."""
PAGES_AT_ONCE: Final = 4
"""How many further pages of members are read at once, half of them for one organization: reading
and converting one is the work of a few requests."""
PAGE_SECONDS: Final = 60.0
"""How long a further page waits for its turn; a response that is sent takes no longer."""
PAGES_WAITING: Final = 4_096


class GroupClient:
    """The groups of an organization, kept by usersvc.

    What the service refuses is raised as `gateway.backend.errors.RefusedError`.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        batched: grpc.aio.Channel | None = None,
    ) -> None:
        self._stub = groups_pb2_grpc.GroupServiceStub(batched or channel)
        # A page of groups or members is large: other calls of its stream would wait behind it.
        self._alone = groups_pb2_grpc.GroupServiceStub(channel)
        self._page_slots = FairSemaphore(PAGES_AT_ONCE, no_slot, PAGE_SECONDS, queue=PAGES_WAITING)

    async def create(
        self, request: pb.CreateGroupRequest, origin: Origin
    ) -> pb.CreateGroupResponse:
        """Add a group with its first members."""
        return await call(self._stub.CreateGroup, request, origin)

    async def get(self, request: pb.GetGroupRequest, origin: Origin) -> pb.Group:
        """Read a group, without its members."""
        response = await call(self._stub.GetGroup, request, origin)
        return response.group

    async def list(self, request: pb.ListGroupsRequest, origin: Origin) -> pb.ListGroupsResponse:
        """Read a page of groups."""
        return await call(self._alone.ListGroups, request, origin)

    async def update(
        self, request: pb.UpdateGroupRequest, origin: Origin
    ) -> pb.UpdateGroupResponse:
        """Change a group and its members."""
        return await call(self._stub.UpdateGroup, request, origin)

    async def delete(self, request: pb.DeleteGroupRequest, origin: Origin) -> None:
        """Remove a group."""
        await call(self._stub.DeleteGroup, request, origin)

    async def members(
        self, request: pb.ListMembersRequest, origin: Origin
    ) -> AsyncGenerator[Sequence[pb.Member], None]:
        """Every direct member of a group, page by page.

        A member that stays meanwhile comes exactly once; each page is of the moment when it is
        read.
        """
        request.page_size = MEMBERS_PAGE if request.omit_display_names else NAMED_MEMBERS_PAGE
        page = await call(self._alone.ListMembers, request, origin)
        yield page.members
        while page.next_page_token:
            request.page_token = page.next_page_token
            # Further pages may be read outside of a request's slot (`gateway.http.streaming`).
            async with self._page_slots.slot(request.organization_id):
                page = await call(self._alone.ListMembers, request, origin)
            yield page.members
