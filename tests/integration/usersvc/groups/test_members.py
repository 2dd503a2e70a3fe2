"""UpdateGroup: members change as sets, and only what differs is written."""

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.groups_pb2 import Group, MemberChange
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
    """A group of the first three."""
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


async def test_members_are_added_to_those_who_are_there(groups, people, team, clock):
    clock.advance(minutes=1)
    updated = await change_members(groups, team.id, add=people[3:])
    assert updated == later(team, clock) == await get_group(groups, team.id)
    assert await members(groups, team.id) == people


async def test_only_the_members_who_are_named_are_removed(groups, people, team, clock):
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


async def test_clear_and_add_leave_exactly_those_who_are_added(groups, people, team):
    await change_members(groups, team.id, clear=True, add=[people[4], people[1]])
    assert await members(groups, team.id) == [people[1], people[4]]


async def test_clear_and_add_rewrite_only_what_differs(groups, people, team, db):
    rows = "SELECT user_id::text, xmin::text FROM group_users ORDER BY user_id"
    before = dict(await db.fetch(rows))
    await change_members(groups, team.id, clear=True, add=people[1:4])
    after = dict(await db.fetch(rows))
    kept = people[1:3]
    assert [after[user_id] for user_id in kept] == [before[user_id] for user_id in kept]
    assert list(after) == people[1:4]


async def test_who_is_removed_and_added_at_once_is_a_member(groups, people, team):
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
async def test_a_change_that_changes_nothing_writes_nothing(groups, people, team, db, change):
    rows = "SELECT xmin::text FROM groups UNION ALL SELECT xmin::text FROM group_users"
    before = await db.fetch(rows)
    assert await update_group(groups, team.id, members=change(people)) == team
    assert await db.fetch(rows) == before


async def test_fields_and_members_change_together_as_one_version(groups, people, team, clock):
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


async def test_a_member_who_is_not_there_leaves_all_as_it_was(groups, people, team):
    change = MemberChange(clear=True, add_member_ids=[people[4], NOBODY])
    with member_not_found(NOBODY):
        await update_group(groups, team.id, display_name="Crew", members=change)
    assert await get_group(groups, team.id) == team
    assert await members(groups, team.id) == people[:3]


async def test_the_mask_decides_which_fields_change(groups, team, clock):
    clock.advance(minutes=1)
    updated = await update_group(
        groups, team.id, "external_id", display_name="ignored", external_id="e-1"
    )
    assert updated == later(team, clock, external_id="e-1")


async def test_an_asterisk_replaces_all_fields_and_no_members(groups, people, clock):
    group = await create_group(groups, "Team", people[:1], external_id="e-1")
    clock.advance(minutes=1)
    updated = await update_group(groups, group.id, "*", display_name="Crew")
    assert updated == later(group, clock, display_name="Crew", external_id="")
    assert await members(groups, group.id) == people[:1]


@pytest.mark.parametrize("path", ["members", "id", "etag", "displayName", ""])
async def test_a_mask_that_names_something_else_is_refused(groups, team, path):
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=path):
        await update_group(groups, team.id, path)


async def test_a_group_keeps_a_display_name(groups, team):
    with invalid_field("display_name"):
        await update_group(groups, team.id, "display_name")


async def test_an_etag_of_the_past_is_refused(groups, people, team):
    changed = await change_members(groups, team.id, add=people[3:4])
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag=changed.etag):
        await change_members(groups, team.id, add=people[4:], etag=team.etag)
    assert await members(groups, team.id) == people[:4]


async def test_an_etag_that_is_still_true_is_accepted(groups, people, team):
    changed = await change_members(groups, team.id, add=people[3:], etag=team.etag)
    assert changed.etag == "2"


async def test_an_etag_is_refused_even_if_nothing_would_change(groups, people, team):
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag="1"):
        await change_members(groups, team.id, add=people[:1], etag="7")


async def test_a_group_that_is_not_there_is_not_found_whatever_the_members(groups, people):
    for change in ({"add": people}, {"add": [NOBODY]}, {"remove": people}, {"clear": True}):
        with group_not_found(NOBODY):
            await change_members(groups, NOBODY, **change)


@pytest.mark.parametrize("kind", ["add", "remove"])
async def test_more_than_100000_members_at_once_are_refused(groups, team, kind):
    with invalid_field(f"members.{kind}_member_ids"):
        await change_members(groups, team.id, **{kind: [NOBODY] * 100_001})


async def test_ids_in_upper_case_name_the_same_members(groups, people, team):
    assert await change_members(groups, team.id, add=[people[0].upper()]) == team


async def test_a_deleted_group_is_gone_and_its_members_are_not(groups, users, people, team):
    await delete_group(groups, team.id)
    with group_not_found(team.id):
        await get_group(groups, team.id)
    again = await create_group(groups, "Team", people[:3])
    assert await members(groups, again.id) == people[:3]


async def test_a_group_that_is_not_there_cannot_be_deleted(groups):
    with group_not_found(NOBODY):
        await delete_group(groups, NOBODY)


async def test_a_group_is_deleted_with_the_etag_it_has_only(groups, people, team):
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag="1"):
        await delete_group(groups, team.id, etag="2")
    await delete_group(groups, team.id, etag="1")
    with group_not_found(team.id):
        await get_group(groups, team.id)


async def test_members_come_without_their_names_when_nobody_wants_them(groups, people, team):
    nested = await create_group(groups, "Nested")
    await change_members(groups, team.id, add=[nested.id])

    page = await list_members(groups, team.id, omit_display_names=True)

    assert [(member.id, member.display_name) for member in page.members] == [
        *((id_, "") for id_ in people[:3]),
        (nested.id, ""),
    ]
