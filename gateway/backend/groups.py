"""The client of usersvc for groups."""

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
"""A page with the longest allowed names has half a MiB."""
MAX_CONCURRENT_PAGES: Final = 4
"""The most further pages of members read at once; one organization has at most half of them.

Reading and converting a page costs as much as a few requests.
"""
PAGE_QUEUE_SECONDS: Final = 60.0
"""The time limit of a further page for a slot: as long as sending a response may take."""
MAX_QUEUED_PAGES: Final = 4_096


class GroupClient:
    """Reads and changes the groups of an organization in usersvc.

    An error of the service is raised as `gateway.backend.errors.RefusedError`.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        batched: grpc.aio.Channel | None = None,
    ) -> None:
        self._stub = groups_pb2_grpc.GroupServiceStub(batched or channel)
        # A page of groups or members is large: other calls on its stream would wait behind it.
        self._unbatched_stub = groups_pb2_grpc.GroupServiceStub(channel)
        self._page_slots = FairSemaphore(
            MAX_CONCURRENT_PAGES, no_slot, PAGE_QUEUE_SECONDS, queue=MAX_QUEUED_PAGES
        )

    async def create(
        self, request: pb.CreateGroupRequest, origin: Origin
    ) -> pb.CreateGroupResponse:
        """Create a group with its first members."""
        return await call(self._stub.CreateGroup, request, origin)

    async def get(self, request: pb.GetGroupRequest, origin: Origin) -> pb.Group:
        """Read a group, without its members."""
        response = await call(self._stub.GetGroup, request, origin)
        return response.group

    async def list(self, request: pb.ListGroupsRequest, origin: Origin) -> pb.ListGroupsResponse:
        """Read a page of groups."""
        return await call(self._unbatched_stub.ListGroups, request, origin)

    async def update(
        self, request: pb.UpdateGroupRequest, origin: Origin
    ) -> pb.UpdateGroupResponse:
        """Update a group and its members."""
        return await call(self._stub.UpdateGroup, request, origin)

    async def delete(self, request: pb.DeleteGroupRequest, origin: Origin) -> None:
        """Delete a group."""
        await call(self._stub.DeleteGroup, request, origin)

    async def members(
        self, request: pb.ListMembersRequest, origin: Origin
    ) -> AsyncGenerator[Sequence[pb.Member], None]:
        """Yield every direct member of a group, page by page.

        Each page is the state at the time when it is read. A member that stays in the group
        during the whole listing is returned exactly once.
        """
        request.page_size = MEMBERS_PAGE if request.omit_display_names else NAMED_MEMBERS_PAGE
        page = await call(self._unbatched_stub.ListMembers, request, origin)
        yield page.members
        while page.next_page_token:
            request.page_token = page.next_page_token
            # A further page may be read after the request released its admission slot
            # (`gateway.http.streaming`).
            async with self._page_slots.slot(request.organization_id):
                page = await call(self._unbatched_stub.ListMembers, request, origin)
            yield page.members
