"""The GroupService of the contract."""

from typing import Any, Final, TypeAlias
from uuid import UUID

import grpc
from cloudacademy.users.v1 import groups_pb2, groups_pb2_grpc

from chassis.clock import Clock
from chassis.errors import ETAG_MISMATCH, Refusal
from chassis.rpc.uuids import read_uuid
from usersvc.domain import groups
from usersvc.domain.groups import Group, GroupProfile
from usersvc.rpc import page_tokens as page_token
from usersvc.rpc.convert import group as wire_group
from usersvc.rpc.convert import listing as wire_list
from usersvc.rpc.convert import request as wire_request
from usersvc.rpc.convert import user as wire
from usersvc.store.groups import GroupStore
from usersvc.store.listing.fields import Kind
from usersvc.store.listing.group_fields import GROUPS

DEFAULT_MEMBERS_SIZE: Final = 1_000
MAX_MEMBERS_SIZE: Final = 10_000

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GroupsServicer(groups_pb2_grpc.GroupServiceServicer):
    """Turns requests into values, has the store do the work, and turns the outcome back."""

    def __init__(self, store: GroupStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def CreateGroup(  # noqa: N802 - the contract's name
        self, request: groups_pb2.CreateGroupRequest, context: Context
    ) -> groups_pb2.CreateGroupResponse:
        """Add a group with its first members."""
        organization_id = read_uuid("organization_id", request.organization_id)
        profile = wire_group.to_profile(request.group)
        groups.check(profile)
        members = await wire_group.to_first_members(request)
        written = await self._store.create(
            organization_id,
            profile,
            members,
            self._clock(),
            wire.to_origin(context),
            request=wire_request.to_create_request(organization_id, request),
            view=wire_group.to_view(request),
            validate_only=request.validate_only,
        )
        message = wire_group.from_group(written.group)
        if request.validate_only:
            wire_request.forget(message, "id", "etag")
        return groups_pb2.CreateGroupResponse(
            group=message, all_members=wire_group.from_members(written.members)
        )

    async def GetGroup(  # noqa: N802
        self, request: groups_pb2.GetGroupRequest, context: Context
    ) -> groups_pb2.GetGroupResponse:
        """Read one group."""
        group = await self._store.get(
            read_uuid("organization_id", request.organization_id),
            read_uuid("group_id", request.group_id),
        )
        return groups_pb2.GetGroupResponse(group=wire_group.from_group(group))

    async def ListGroups(  # noqa: N802
        self, request: groups_pb2.ListGroupsRequest, context: Context
    ) -> groups_pb2.ListGroupsResponse:
        """Read a page of groups."""
        query, digest = wire_list.to_query(request, GROUPS)
        response = groups_pb2.ListGroupsResponse()
        total = None
        if not request.omit_groups:
            page = await self._store.list(query)
            response.groups.extend([wire_group.from_group(group) for group in page.items])
            if page.next is not None:
                response.next_page_token = page_token.encode(digest, page.next)
            total = wire_list.known_total(query, page)
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
        new = wire_group.to_profile(request.group)

        def decide(group: Group) -> GroupProfile:
            if request.etag and request.etag != group.etag:
                raise Refusal(ETAG_MISMATCH, group.etag)
            profile = groups.apply(group.profile, new, mask)
            groups.check(profile)
            return profile

        written = await self._store.change(
            read_uuid("organization_id", request.organization_id),
            read_uuid("group.id", request.group.id),
            decide,
            await wire_group.to_change(request.members),
            now=self._clock(),
            origin=wire.to_origin(context),
            view=wire_group.to_view(request),
            validate_only=request.validate_only,
        )
        message = wire_group.from_group(written.group)
        if request.validate_only:
            wire_request.forget(message, "etag")
        return groups_pb2.UpdateGroupResponse(
            group=message, all_members=wire_group.from_members(written.members)
        )

    async def DeleteGroup(  # noqa: N802
        self, request: groups_pb2.DeleteGroupRequest, context: Context
    ) -> groups_pb2.DeleteGroupResponse:
        """Remove a group for good."""
        await self._store.delete(
            read_uuid("organization_id", request.organization_id),
            read_uuid("group_id", request.group_id),
            request.etag,
            now=self._clock(),
            origin=wire.to_origin(context),
            validate_only=request.validate_only,
        )
        return groups_pb2.DeleteGroupResponse()

    async def ListMembers(  # noqa: N802
        self, request: groups_pb2.ListMembersRequest, context: Context
    ) -> groups_pb2.ListMembersResponse:
        """Read a page of a group's direct members."""
        organization_id = read_uuid("organization_id", request.organization_id)
        group_id = read_uuid("group_id", request.group_id)
        size = wire_list.not_negative("page_size", request.page_size) or DEFAULT_MEMBERS_SIZE
        digest = page_token.digest(b"members", organization_id.bytes, group_id.bytes)
        page = await self._store.members(
            organization_id,
            group_id,
            _after(request, digest),
            min(size, MAX_MEMBERS_SIZE),
            named=not request.omit_display_names,
        )
        messages = [wire_group.from_member(member) for member in page.items]
        page = page.first(wire_list.fitting(messages))
        response = groups_pb2.ListMembersResponse(members=messages[: len(page.items)])
        if page.next is not None:
            response.next_page_token = page_token.encode(digest, page.next)
        return response


def _after(request: groups_pb2.ListMembersRequest, digest: str) -> UUID | None:
    if not request.page_token:
        return None
    return page_token.decode(request.page_token, digest, Kind.ID).id
