"""The servicer of GroupService."""

from typing import Any, Final, TypeAlias
from uuid import UUID

import grpc
from cloudacademy.users.v1 import groups_pb2, groups_pb2_grpc

from chassis.clock import Clock
from chassis.etags import require_etag
from chassis.rpc.uuids import read_uuid
from usersvc.domain import groups
from usersvc.domain.groups import Group, GroupProfile
from usersvc.rpc import page_tokens
from usersvc.rpc.convert.group import (
    from_group,
    from_member,
    from_members,
    to_change,
    to_first_members,
    to_profile,
    to_view,
)
from usersvc.rpc.convert.listing import fitting, known_total, not_negative, to_query
from usersvc.rpc.convert.request import clear_fields, to_create_request
from usersvc.rpc.convert.user import to_origin
from usersvc.store.groups.store import GroupStore
from usersvc.store.listing.fields import Kind
from usersvc.store.listing.group_fields import GROUPS

DEFAULT_MEMBERS_SIZE: Final = 1_000
MAX_MEMBERS_SIZE: Final = 10_000

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GroupServicer(groups_pb2_grpc.GroupServiceServicer):
    """Converts requests to domain values, calls the store, and converts the results to messages."""

    def __init__(self, store: GroupStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def CreateGroup(  # noqa: N802 - the name in the proto file
        self, request: groups_pb2.CreateGroupRequest, context: Context
    ) -> groups_pb2.CreateGroupResponse:
        """Add a group with its first members."""
        organization_id = read_uuid("organization_id", request.organization_id)
        profile = to_profile(request.group)
        groups.check(profile)
        members = await to_first_members(request)
        written = await self._store.create(
            organization_id,
            profile,
            members,
            self._clock(),
            to_origin(context),
            request=to_create_request(organization_id, request),
            view=to_view(request),
            validate_only=request.validate_only,
        )
        message = from_group(written.group)
        if request.validate_only:
            clear_fields(message, "id", "etag")
        return groups_pb2.CreateGroupResponse(
            group=message, all_members=from_members(written.members)
        )

    async def GetGroup(  # noqa: N802
        self, request: groups_pb2.GetGroupRequest, context: Context
    ) -> groups_pb2.GetGroupResponse:
        """Read one group."""
        group = await self._store.get(
            read_uuid("organization_id", request.organization_id),
            read_uuid("group_id", request.group_id),
        )
        return groups_pb2.GetGroupResponse(group=from_group(group))

    async def ListGroups(  # noqa: N802
        self, request: groups_pb2.ListGroupsRequest, context: Context
    ) -> groups_pb2.ListGroupsResponse:
        """Read a page of groups."""
        query, digest = to_query(request, GROUPS)
        response = groups_pb2.ListGroupsResponse()
        total = None
        if not request.omit_groups:
            page = await self._store.list(query)
            response.groups.extend([from_group(group) for group in page.items])
            if page.next is not None:
                response.next_page_token = page_tokens.encode(digest, page.next)
            total = known_total(query, page)
        if request.count_total:
            if total is None:
                total = await self._store.count(query.organization_id, query.filter)
            response.total_size = total
        return response

    async def UpdateGroup(  # noqa: N802
        self, request: groups_pb2.UpdateGroupRequest, context: Context
    ) -> groups_pb2.UpdateGroupResponse:
        """Change the fields that the mask names, and the members."""
        mask = tuple(request.update_mask.paths)
        new = to_profile(request.group)

        def decide(group: Group) -> GroupProfile:
            require_etag((request.etag, request.group.etag), group.etag)
            profile = groups.apply(group.profile, new, mask)
            groups.check(profile)
            return profile

        written = await self._store.change(
            read_uuid("organization_id", request.organization_id),
            read_uuid("group.id", request.group.id),
            decide,
            await to_change(request.members),
            now=self._clock(),
            origin=to_origin(context),
            view=to_view(request),
            validate_only=request.validate_only,
        )
        message = from_group(written.group)
        if request.validate_only:
            clear_fields(message, "etag")
        return groups_pb2.UpdateGroupResponse(
            group=message, all_members=from_members(written.members)
        )

    async def DeleteGroup(  # noqa: N802
        self, request: groups_pb2.DeleteGroupRequest, context: Context
    ) -> groups_pb2.DeleteGroupResponse:
        """Delete a group permanently."""
        await self._store.delete(
            read_uuid("organization_id", request.organization_id),
            read_uuid("group_id", request.group_id),
            request.etag,
            now=self._clock(),
            origin=to_origin(context),
            validate_only=request.validate_only,
        )
        return groups_pb2.DeleteGroupResponse()

    async def ListMembers(  # noqa: N802
        self, request: groups_pb2.ListMembersRequest, context: Context
    ) -> groups_pb2.ListMembersResponse:
        """Read a page of a group's direct members."""
        organization_id = read_uuid("organization_id", request.organization_id)
        group_id = read_uuid("group_id", request.group_id)
        size = not_negative("page_size", request.page_size) or DEFAULT_MEMBERS_SIZE
        digest = page_tokens.digest(b"members", organization_id.bytes, group_id.bytes)
        page = await self._store.members(
            organization_id,
            group_id,
            _after(request, digest),
            min(size, MAX_MEMBERS_SIZE),
            named=not request.omit_display_names,
        )
        messages = [from_member(member) for member in page.items]
        page = page.first(fitting(messages))
        response = groups_pb2.ListMembersResponse(members=messages[: len(page.items)])
        if page.next is not None:
            response.next_page_token = page_tokens.encode(digest, page.next)
        return response


def _after(request: groups_pb2.ListMembersRequest, digest: str) -> UUID | None:
    if not request.page_token:
        return None
    return page_tokens.decode(request.page_token, digest, Kind.ID).id
