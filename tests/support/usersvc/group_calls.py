"""Short forms of the calls of the GroupService, and of the refusals that tests expect."""

from collections.abc import Iterable

from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import filter_pb2, groups_pb2, users_pb2
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from tests.support.usersvc.user_calls import ACME, refused

USER = groups_pb2.Member.KIND_USER
GROUP = groups_pb2.Member.KIND_GROUP


async def create_group(
    stub: GroupServiceStub,
    display_name: str,
    member_ids: Iterable[str] = (),
    organization_id: str = ACME,
    **fields: str,
) -> groups_pb2.Group:
    request = groups_pb2.CreateGroupRequest(
        organization_id=organization_id,
        group=groups_pb2.Group(display_name=display_name, **fields),
        member_ids=member_ids,
    )
    return (await stub.CreateGroup(request)).group


async def get_group(
    stub: GroupServiceStub, group_id: str, organization_id: str = ACME
) -> groups_pb2.Group:
    request = groups_pb2.GetGroupRequest(organization_id=organization_id, group_id=group_id)
    return (await stub.GetGroup(request)).group


async def update_group(
    stub: GroupServiceStub,
    group_id: str,
    *mask: str,
    etag: str = "",
    organization_id: str = ACME,
    members: groups_pb2.MemberChange | None = None,
    **fields: str,
) -> groups_pb2.Group:
    request = groups_pb2.UpdateGroupRequest(
        organization_id=organization_id,
        group=groups_pb2.Group(id=group_id, **fields),
        update_mask=FieldMask(paths=mask or tuple(fields)),
        members=members,
        etag=etag,
    )
    return (await stub.UpdateGroup(request)).group


async def change_members(
    stub: GroupServiceStub,
    group_id: str,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    clear: bool = False,
    organization_id: str = ACME,
    etag: str = "",
) -> groups_pb2.Group:
    members = groups_pb2.MemberChange(clear=clear, remove_member_ids=remove, add_member_ids=add)
    return await update_group(
        stub, group_id, members=members, organization_id=organization_id, etag=etag
    )


async def delete_group(
    stub: GroupServiceStub, group_id: str, etag: str = "", organization_id: str = ACME
) -> None:
    await stub.DeleteGroup(
        groups_pb2.DeleteGroupRequest(organization_id=organization_id, group_id=group_id, etag=etag)
    )


async def list_groups(
    stub: GroupServiceStub,
    filter: filter_pb2.Filter | None = None,  # noqa: A002 - the contract's name
    organization_id: str = ACME,
    **fields: object,
) -> groups_pb2.ListGroupsResponse:
    request = groups_pb2.ListGroupsRequest(organization_id=organization_id, filter=filter, **fields)
    return await stub.ListGroups(request)


async def group_names(
    stub: GroupServiceStub,
    filter: filter_pb2.Filter,  # noqa: A002
    **fields: object,
) -> list[str]:
    """The names of the groups that match a filter, in the order of creation."""
    response = await list_groups(stub, filter, **fields)
    return [group.display_name for group in response.groups]


async def list_members(
    stub: GroupServiceStub, group_id: str, organization_id: str = ACME, **fields: object
) -> groups_pb2.ListMembersResponse:
    request = groups_pb2.ListMembersRequest(
        organization_id=organization_id, group_id=group_id, **fields
    )
    return await stub.ListMembers(request)


async def members(stub: GroupServiceStub, group_id: str) -> list[str]:
    """The ids of a group's members."""
    response = await list_members(stub, group_id)
    return [member.id for member in response.members]


async def groups_of(
    stub: UserServiceStub, user_id: str, organization_id: str = ACME
) -> list[users_pb2.GroupMembership]:
    request = users_pb2.GetUserRequest(
        organization_id=organization_id, user_id=user_id, view=users_pb2.USER_VIEW_WITH_GROUPS
    )
    return list((await stub.GetUser(request)).user.groups)


def group_not_found(group_id: str):
    return refused(Reason.REASON_GROUP_NOT_FOUND, StatusCode.NOT_FOUND, group_id=group_id)


def member_not_found(member_id: str):
    return refused(Reason.REASON_MEMBER_NOT_FOUND, StatusCode.INVALID_ARGUMENT, member_id=member_id)


def group_cycle(group_id: str, member_id: str):
    return refused(
        Reason.REASON_GROUP_CYCLE,
        StatusCode.INVALID_ARGUMENT,
        group_id=group_id,
        member_id=member_id,
    )
