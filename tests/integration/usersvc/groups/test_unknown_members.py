"""Members with unknown ids: refused, or stored as given when the caller requests it."""

import pytest
from cloudacademy.users.v1.groups_pb2 import CreateGroupRequest, Group, Member, MemberChange

from tests.support.usersvc.group_calls import create_group, get_group, list_members, update_group
from tests.support.usersvc.user_calls import ACME, NOBODY, create, invalid_field


@pytest.fixture
async def ann(users):
    return (await create(users, "ann")).id


@pytest.fixture
async def team(groups, ann):
    """A group of one user."""
    return await create_group(groups, "Team", [ann])


async def change_members(groups, team: Group, **parts: object) -> Group:
    return await update_group(groups, team.id, members=MemberChange(keep_unknown=True, **parts))


async def all_members(groups, team: Group) -> list[tuple[str, int]]:
    """All members, from all pages."""
    found, token = [], ""
    while True:
        page = await list_members(groups, team.id, page_token=token)
        found += [(member.id, member.kind) for member in page.members]
        token = page.next_page_token
        if not token:
            return found


async def test_unknown_member_is_stored_beside_known_ones(groups, ann, team):
    await change_members(groups, team, add_member_ids=["no uuid", NOBODY])

    unknown = [(text, Member.KIND_UNKNOWN) for text in sorted(["no uuid", NOBODY])]
    assert await all_members(groups, team) == [(ann, Member.KIND_USER), *unknown]


async def test_create_stores_unknown_members(groups):
    created = await groups.CreateGroup(
        CreateGroupRequest(
            organization_id=ACME,
            group=Group(display_name="Team"),
            member_ids=["nobody"],
            keep_unknown_members=True,
        )
    )

    assert await all_members(groups, created.group) == [("nobody", Member.KIND_UNKNOWN)]


async def test_unknown_member_is_removed_by_its_id(groups, ann, team):
    await change_members(groups, team, add_member_ids=["nobody", NOBODY])
    await change_members(groups, team, remove_member_ids=[NOBODY, "nobody"])

    assert await all_members(groups, team) == [(ann, Member.KIND_USER)]


async def test_clear_removes_unknown_members_too(groups, team):
    await change_members(groups, team, add_member_ids=["nobody"])
    await change_members(groups, team, clear=True)

    assert await all_members(groups, team) == []


async def test_adding_a_stored_unknown_member_changes_nothing(groups, team):
    before = await change_members(groups, team, add_member_ids=["nobody"])
    after = await change_members(groups, team, add_member_ids=["nobody"])

    assert after == before == await get_group(groups, team.id)


async def test_unknown_members_are_listed_last_on_their_own_page(groups, ann, team):
    await change_members(groups, team, add_member_ids=["a", "b"])

    first = await list_members(groups, team.id, page_size=1)
    second = await list_members(groups, team.id, page_size=1, page_token=first.next_page_token)

    assert [member.id for member in first.members] == [ann]
    assert [member.id for member in second.members] == ["a", "b"]
    assert second.next_page_token == ""


@pytest.mark.parametrize(
    "ids",
    [[f"x{number}" for number in range(1_001)], ["x" * 201], ["a\0b"]],
    ids=["too many", "too long", "NUL"],
)
async def test_too_many_or_too_long_unknown_members_are_refused(groups, team, ids):
    with invalid_field("members"):
        await change_members(groups, team, add_member_ids=ids)
