"""Nested groups, the groups of users, and the effects of deletions."""

from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.users_pb2 import GroupMembership

from tests.support.usersvc.group_calls import (
    change_members,
    create_group,
    delete_group,
    get_group,
    group_cycle,
    groups_of,
    members,
)
from tests.support.usersvc.user_calls import create, delete, get, list_users

WITH_GROUPS = users_pb2.USER_VIEW_WITH_GROUPS


async def test_group_as_member_of_itself_is_refused(groups):
    group = await create_group(groups, "Team")
    with group_cycle(group.id, group.id):
        await change_members(groups, group.id, add=[group.id])
    assert await members(groups, group.id) == []


async def test_nesting_that_closes_a_longer_cycle_is_refused(groups):
    inner = await create_group(groups, "Inner")
    middle = await create_group(groups, "Middle", [inner.id])
    outer = await create_group(groups, "Outer", [middle.id])
    other = await create_group(groups, "Other")
    with group_cycle(inner.id, outer.id):
        await change_members(groups, inner.id, add=[other.id, outer.id])
    assert await members(groups, inner.id) == []


async def test_group_may_be_reached_by_two_paths(users, groups):
    ann = await create(users, "ann")
    inner = await create_group(groups, "Inner", [ann.id])
    left = await create_group(groups, "Left", [inner.id])
    right = await create_group(groups, "Right", [inner.id])
    outer = await create_group(groups, "Outer", [left.id, right.id])
    assert await groups_of(users, ann.id) == [
        GroupMembership(group_id=inner.id, display_name="Inner", direct=True),
        GroupMembership(group_id=left.id, display_name="Left"),
        GroupMembership(group_id=right.id, display_name="Right"),
        GroupMembership(group_id=outer.id, display_name="Outer"),
    ]


async def test_nesting_may_be_reversed_after_its_removal(groups):
    inner = await create_group(groups, "Inner")
    outer = await create_group(groups, "Outer", [inner.id])
    await change_members(groups, outer.id, remove=[inner.id])
    await change_members(groups, inner.id, add=[outer.id])
    assert await members(groups, inner.id) == [outer.id]


async def test_replacing_a_nested_group_by_itself_changes_nothing(groups):
    inner = await create_group(groups, "Inner")
    outer = await create_group(groups, "Outer", [inner.id])
    assert await change_members(groups, outer.id, clear=True, add=[inner.id]) == outer


async def test_direct_membership_takes_precedence_over_indirect(users, groups):
    ann = await create(users, "ann")
    inner = await create_group(groups, "Inner", [ann.id])
    outer = await create_group(groups, "Outer", [inner.id, ann.id])
    assert await groups_of(users, ann.id) == [
        GroupMembership(group_id=inner.id, display_name="Inner", direct=True),
        GroupMembership(group_id=outer.id, display_name="Outer", direct=True),
    ]


async def test_groups_of_a_user_are_returned_only_on_request(users, groups):
    ann = await create(users, "ann")
    bob = await create(users, "bob")
    await create_group(groups, "Team", [ann.id])
    assert await get(users, ann.id) == ann
    assert list((await list_users(users)).users) == [ann, bob]
    assert await groups_of(users, bob.id) == []


async def test_page_of_users_returns_the_groups_of_each(users, groups):
    ann, bob, cat = [await create(users, name) for name in ("ann", "bob", "cat")]
    team = await create_group(groups, "Team", [ann.id, cat.id])
    other = await create_group(groups, "Other", [cat.id])
    page = await list_users(users, view=WITH_GROUPS)
    in_team = GroupMembership(group_id=team.id, display_name="Team", direct=True)
    in_other = GroupMembership(group_id=other.id, display_name="Other", direct=True)
    ann.groups.append(in_team)
    cat.groups.extend([in_team, in_other])
    assert list(page.users) == [ann, bob, cat]


async def test_update_of_user_returns_its_groups(users, groups):
    ann = await create(users, "ann")
    team = await create_group(groups, "Team", [ann.id])
    request = users_pb2.UpdateUserRequest(
        organization_id=ann.organization_id,
        user=users_pb2.User(id=ann.id, title="Engineer"),
        update_mask={"paths": ["title"]},
        view=WITH_GROUPS,
    )
    response = await users.UpdateUser(request)
    assert list(response.user.groups) == [
        GroupMembership(group_id=team.id, display_name="Team", direct=True)
    ]


async def test_joining_a_group_keeps_the_version_of_the_user(users, groups):
    ann = await create(users, "ann")
    await create_group(groups, "Team", [ann.id])
    assert await get(users, ann.id) == ann


async def test_deleted_user_is_removed_from_groups_with_new_versions(users, groups, clock):
    ann = await create(users, "ann")
    bob = await create(users, "bob")
    changed = [await create_group(groups, name, [ann.id, bob.id]) for name in ("One", "Two")]
    untouched = await create_group(groups, "Three", [bob.id])
    clock.advance(minutes=1)
    await delete(users, ann.id)
    assert [await members(groups, group.id) for group in changed] == [[bob.id], [bob.id]]
    for group in changed:
        group.etag = "2"
        group.update_time.FromDatetime(clock.now.replace(tzinfo=None))
    assert [await get_group(groups, group.id) for group in changed] == changed
    assert await get_group(groups, untouched.id) == untouched


async def test_deleted_group_is_removed_from_groups_with_new_versions(users, groups, clock):
    ann = await create(users, "ann")
    inner = await create_group(groups, "Inner", [ann.id])
    middle = await create_group(groups, "Middle", [inner.id])
    outer = await create_group(groups, "Outer", [middle.id])
    clock.advance(minutes=1)
    await delete_group(groups, middle.id)
    outer.etag = "2"
    outer.update_time.FromDatetime(clock.now.replace(tzinfo=None))
    assert await get_group(groups, outer.id) == outer
    assert await members(groups, outer.id) == []
    assert await get_group(groups, inner.id) == inner
