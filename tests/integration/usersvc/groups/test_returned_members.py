"""The members that a write of a group returns."""

import asyncio
from typing import Any

import pytest
from cloudacademy.users.v1 import groups_pb2 as pb
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub

from tests.support.usersvc.group_calls import create_group, get_group, list_members
from tests.support.usersvc.user_calls import ACME, create, invalid_field

REQUEST = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e99"


def view(max_members: int, **fields: Any) -> pb.MemberView:
    return pb.MemberView(max_members=max_members, **fields)


async def update(
    groups: GroupServiceStub, group_id: str, *add: str, **fields: Any
) -> pb.UpdateGroupResponse:
    change = pb.MemberChange(add_member_ids=add, keep_unknown=True)
    return await groups.UpdateGroup(
        pb.UpdateGroupRequest(
            organization_id=ACME, group=pb.Group(id=group_id), members=change, **fields
        )
    )


async def create_with(
    groups: GroupServiceStub, *member_ids: str, **fields: Any
) -> pb.CreateGroupResponse:
    return await groups.CreateGroup(
        pb.CreateGroupRequest(
            organization_id=ACME,
            group=pb.Group(display_name="Team"),
            member_ids=member_ids,
            keep_unknown_members=True,
            **fields,
        )
    )


async def test_writes_return_members_as_they_are_listed(users, groups):
    ann = await create(users, "ann@corp.test", display_name="Ann")
    bob = await create(users, "bob@corp.test")
    inner = await create_group(groups, "Inner")

    created = await create_with(groups, ann.id, "nobody", member_view=view(20))
    assert list(created.all_members.members) == [
        pb.Member(id=ann.id, kind=pb.Member.KIND_USER, display_name="Ann"),
        pb.Member(id="nobody", kind=pb.Member.KIND_UNKNOWN),
    ]
    updated = await update(groups, created.group.id, bob.id, inner.id, member_view=view(20))

    page = await list_members(groups, updated.group.id)
    last = await list_members(groups, updated.group.id, page_token=page.next_page_token)
    found = [*page.members, *last.members]  # unknown members have their own page
    assert list(updated.all_members.members) == found
    assert updated.group == await get_group(groups, updated.group.id)


async def test_write_without_a_difference_returns_members_too(users, groups):
    ann = await create(users, "ann@corp.test")
    group = await create_group(groups, "Team", [ann.id])

    unchanged = await update(groups, group.id, ann.id, member_view=view(20))

    assert unchanged.group.etag == group.etag
    assert [each.id for each in unchanged.all_members.members] == [ann.id]


async def test_returned_members_omit_names_on_request(users, groups):
    ann = await create(users, "ann@corp.test", display_name="Ann")
    created = await create_with(groups, ann.id, member_view=view(20, omit_display_names=True))
    assert list(created.all_members.members) == [pb.Member(id=ann.id, kind=pb.Member.KIND_USER)]


@pytest.mark.parametrize("unknown", [0, 1, 3])
async def test_members_over_the_limit_are_not_returned_at_all(users, groups, unknown: int):
    people = [(await create(users, f"user{n}")).id for n in range(3 - unknown)]
    ids = [*people, *(f"nobody {n}" for n in range(unknown))]

    fits = await create_with(groups, *ids, member_view=view(3))
    above = await create_with(groups, *ids, member_view=view(2))

    assert [each.id for each in fits.all_members.members] == ids
    assert not above.HasField("all_members")


async def test_write_of_empty_group_returns_an_empty_list(groups):
    created = await create_with(groups, member_view=view(0))
    assert created.HasField("all_members")
    assert list(created.all_members.members) == []


async def test_write_without_member_view_returns_no_members(users, groups):
    ann = await create(users, "ann@corp.test")
    created = await create_with(groups, ann.id)
    updated = await update(groups, created.group.id)
    assert not created.HasField("all_members")
    assert not updated.HasField("all_members")


async def test_negative_member_limit_is_refused(groups):
    with invalid_field("member_view.max_members"):
        await create_with(groups, member_view=view(-1))


async def test_validated_write_returns_the_members_of_the_result(users, groups):
    ann = await create(users, "ann@corp.test")
    group = await create_group(groups, "Team")

    checked = await update(groups, group.id, ann.id, validate_only=True, member_view=view(20))

    assert [each.id for each in checked.all_members.members] == [ann.id]
    assert list((await list_members(groups, group.id)).members) == []


async def test_repeated_create_returns_the_current_members(users, groups):
    ann, bob = [(await create(users, name)).id for name in ("ann", "bob")]
    first = await create_with(groups, ann, request_id=REQUEST, member_view=view(20))
    await update(groups, first.group.id, bob)

    again = await create_with(groups, ann, request_id=REQUEST, member_view=view(20))

    assert (again.group.id, again.group.etag) == (first.group.id, "2")
    assert [each.id for each in again.all_members.members] == [ann, bob]


async def test_returned_members_belong_to_the_returned_version(users, groups):
    """Each write adds one member, so the version says how many members the group has."""
    people = [(await create(users, f"user{n}")).id for n in range(40)]
    group = await create_group(groups, "Team")

    written = await asyncio.gather(
        *(update(groups, group.id, each, member_view=view(100)) for each in people)
    )

    assert sorted(int(each.group.etag) for each in written) == list(range(2, 42))
    for each, added in zip(written, people, strict=True):
        members = [member.id for member in each.all_members.members]
        assert len(members) == int(each.group.etag) - 1
        assert added in members
