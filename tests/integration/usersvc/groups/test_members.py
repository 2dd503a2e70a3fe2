"""UpdateGroup: members are changed as sets, and only differences are written."""

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.groups_pb2 import Group, MemberChange, UpdateGroupRequest
from grpc import StatusCode

from tests.support.usersvc.group_calls import (
    change_members,
    create_group,
    delete_group,
    get_group,
    group_not_found,
    list_members,
    member_not_found,
    members,
    update_group,
)
from tests.support.usersvc.user_calls import NOBODY, create, invalid_field, refused


@pytest.fixture
async def people(users):
    """The ids of five users in the order of their creation."""
    return [(await create(users, name)).id for name in ("ann", "bob", "cat", "dan", "eve")]


@pytest.fixture
async def team(groups, people):
    """A group of the first three users."""
    return await create_group(groups, "Team", people[:3])


def later(group: Group, clock, **fields: str) -> Group:
    """The group after one more change, at the clock's time."""
    after = Group()
    after.CopyFrom(group)
    after.etag = str(int(group.etag) + 1)
    after.update_time.FromDatetime(clock.now.replace(tzinfo=None))
    for name, value in fields.items():
        setattr(after, name, value)
    return after


async def test_add_keeps_existing_members(groups, people, team, clock):
    clock.advance(minutes=1)
    updated = await change_members(groups, team.id, add=people[3:])
    assert updated == later(team, clock) == await get_group(groups, team.id)
    assert await members(groups, team.id) == people


async def test_remove_removes_only_the_named_members(groups, people, team, clock):
    clock.advance(minutes=1)
    updated = await change_members(groups, team.id, remove=[people[1]])
    assert (updated, await members(groups, team.id)) == (
        later(team, clock),
        [people[0], people[2]],
    )


async def test_clear_removes_all_members(groups, people, team, clock):
    clock.advance(minutes=1)
    assert await change_members(groups, team.id, clear=True) == later(team, clock)
    assert await members(groups, team.id) == []


async def test_clear_and_add_replace_all_members(groups, people, team):
    await change_members(groups, team.id, clear=True, add=[people[4], people[1]])
    assert await members(groups, team.id) == [people[1], people[4]]


async def test_clear_and_add_write_only_the_difference(groups, people, team, db):
    rows = "SELECT user_id::text, xmin::text FROM group_users ORDER BY user_id"
    before = dict(await db.fetch(rows))
    await change_members(groups, team.id, clear=True, add=people[1:4])
    after = dict(await db.fetch(rows))
    kept = people[1:3]
    assert [after[user_id] for user_id in kept] == [before[user_id] for user_id in kept]
    assert list(after) == people[1:4]


async def test_member_removed_and_added_in_one_change_is_a_member(groups, people, team):
    await change_members(groups, team.id, remove=people[:2], add=[people[0], people[3]])
    assert await members(groups, team.id) == [people[0], people[2], people[3]]


@pytest.mark.parametrize(
    "change",
    [
        lambda people: MemberChange(add_member_ids=people[:3]),
        lambda people: MemberChange(remove_member_ids=people[3:]),
        lambda people: MemberChange(remove_member_ids=[NOBODY, "ann", ""]),
        lambda people: MemberChange(clear=True, add_member_ids=people[2::-1]),
        lambda people: MemberChange(remove_member_ids=people[:1], add_member_ids=people[:1]),
        lambda people: MemberChange(),
    ],
    ids=["add", "remove", "remove nobody", "replace", "remove and add", "nothing"],
)
async def test_member_change_without_a_difference_writes_nothing(groups, people, team, db, change):
    rows = "SELECT xmin::text FROM groups UNION ALL SELECT xmin::text FROM group_users"
    before = await db.fetch(rows)
    assert await update_group(groups, team.id, members=change(people)) == team
    assert await db.fetch(rows) == before


async def test_fields_and_members_change_in_one_version(groups, people, team, clock):
    clock.advance(minutes=1)
    updated = await update_group(
        groups,
        team.id,
        display_name="Crew",
        external_id="crew",
        members=MemberChange(add_member_ids=people[3:4]),
    )
    assert updated == later(team, clock, display_name="Crew", external_id="crew")
    assert await members(groups, team.id) == people[:4]


async def test_change_with_missing_member_changes_nothing(groups, people, team):
    change = MemberChange(clear=True, add_member_ids=[people[4], NOBODY])
    with member_not_found(NOBODY):
        await update_group(groups, team.id, display_name="Crew", members=change)
    assert await get_group(groups, team.id) == team
    assert await members(groups, team.id) == people[:3]


async def test_group_update_changes_only_the_fields_in_the_mask(groups, team, clock):
    clock.advance(minutes=1)
    updated = await update_group(
        groups, team.id, "external_id", display_name="ignored", external_id="e-1"
    )
    assert updated == later(team, clock, external_id="e-1")


async def test_group_asterisk_mask_replaces_all_fields_and_no_members(groups, people, clock):
    group = await create_group(groups, "Team", people[:1], external_id="e-1")
    clock.advance(minutes=1)
    updated = await update_group(groups, group.id, "*", display_name="Crew")
    assert updated == later(group, clock, display_name="Crew", external_id="")
    assert await members(groups, group.id) == people[:1]


@pytest.mark.parametrize("path", ["members", "id", "etag", "displayName", ""])
async def test_group_mask_with_unsupported_path_is_refused(groups, team, path):
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=path):
        await update_group(groups, team.id, path)


async def test_update_that_clears_the_display_name_is_refused(groups, team):
    with invalid_field("display_name"):
        await update_group(groups, team.id, "display_name")


async def test_stale_group_etag_is_refused(groups, people, team):
    changed = await change_members(groups, team.id, add=people[3:4])
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag=changed.etag):
        await change_members(groups, team.id, add=people[4:], etag=team.etag)
    assert await members(groups, team.id) == people[:4]


async def test_current_group_etag_is_accepted(groups, people, team):
    changed = await change_members(groups, team.id, add=people[3:], etag=team.etag)
    assert changed.etag == "2"


async def test_stale_etag_in_the_group_is_refused(groups, people, team):
    changed = await change_members(groups, team.id, add=people[3:4])
    for etag in ("", changed.etag):
        request = UpdateGroupRequest(
            organization_id=team.organization_id,
            group=Group(id=team.id, etag=team.etag),
            members=MemberChange(clear=True),
            etag=etag,
        )
        with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag=changed.etag):
            await groups.UpdateGroup(request)
    assert await members(groups, team.id) == people[:4]


async def test_current_etag_in_the_group_is_accepted(groups, people, team):
    request = UpdateGroupRequest(
        organization_id=team.organization_id, group=team, members=MemberChange(clear=True)
    )
    await groups.UpdateGroup(request)
    assert await members(groups, team.id) == []


async def test_stale_etag_is_refused_even_without_a_difference(groups, people, team):
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag="1"):
        await change_members(groups, team.id, add=people[:1], etag="7")


async def test_update_of_missing_group_is_not_found_despite_bad_members(groups, people):
    for change in ({"add": people}, {"add": [NOBODY]}, {"remove": people}, {"clear": True}):
        with group_not_found(NOBODY):
            await change_members(groups, NOBODY, **change)


@pytest.mark.parametrize("kind", ["add", "remove"])
async def test_change_of_more_than_100000_members_is_refused(groups, team, kind):
    with invalid_field(f"members.{kind}_member_ids"):
        await change_members(groups, team.id, **{kind: [NOBODY] * 100_001})


async def test_upper_case_member_ids_match_the_same_members(groups, people, team):
    assert await change_members(groups, team.id, add=[people[0].upper()]) == team


async def test_deleted_group_is_not_found_and_its_members_remain(groups, users, people, team):
    await delete_group(groups, team.id)
    with group_not_found(team.id):
        await get_group(groups, team.id)
    recreated = await create_group(groups, "Team", people[:3])
    assert await members(groups, recreated.id) == people[:3]


async def test_delete_of_missing_group_is_not_found(groups):
    with group_not_found(NOBODY):
        await delete_group(groups, NOBODY)


async def test_delete_of_group_requires_the_current_etag(groups, people, team):
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag="1"):
        await delete_group(groups, team.id, etag="2")
    await delete_group(groups, team.id, etag="1")
    with group_not_found(team.id):
        await get_group(groups, team.id)


async def test_members_are_listed_without_names_on_request(groups, people, team):
    nested = await create_group(groups, "Nested")
    await change_members(groups, team.id, add=[nested.id])

    page = await list_members(groups, team.id, omit_display_names=True)

    assert [(member.id, member.display_name) for member in page.members] == [
        *((id_, "") for id_ in people[:3]),
        (nested.id, ""),
    ]
