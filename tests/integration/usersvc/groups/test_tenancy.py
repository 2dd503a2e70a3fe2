"""Groups and members of one organization do not exist for another organization."""

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.groups_pb2 import ListGroupsResponse
from cloudacademy.users.v1.users_pb2 import ListUsersResponse
from grpc import StatusCode

from tests.support.usersvc.group_calls import (
    change_members,
    create_group,
    delete_group,
    get_group,
    group_not_found,
    groups_of,
    list_groups,
    list_members,
    member_not_found,
    members,
    update_group,
)
from tests.support.usersvc.user_calls import GLOBEX, compare, create, list_users, refused


@pytest.fixture
async def ann(users):
    return await create(users, "ann")


@pytest.fixture
async def team(groups, ann):
    """A group of the first organization."""
    return await create_group(groups, "Team", [ann.id])


async def test_group_of_another_organization_is_not_found(groups, ann, team):
    with group_not_found(team.id):
        await get_group(groups, team.id, organization_id=GLOBEX)
    with group_not_found(team.id):
        await list_members(groups, team.id, organization_id=GLOBEX)
    with group_not_found(team.id):
        await update_group(groups, team.id, organization_id=GLOBEX, display_name="x")
    with group_not_found(team.id):
        await change_members(groups, team.id, organization_id=GLOBEX, clear=True)
    with group_not_found(team.id):
        await delete_group(groups, team.id, organization_id=GLOBEX)
    with group_not_found(team.id):
        await delete_group(groups, team.id, organization_id=GLOBEX, etag=team.etag)
    assert await get_group(groups, team.id) == team
    assert await members(groups, team.id) == [ann.id]


async def test_members_of_another_organization_are_not_found(groups, ann, team):
    foreign = await create_group(groups, "Foreign", organization_id=GLOBEX)
    for member_id in (ann.id, team.id):
        with member_not_found(member_id):
            await change_members(groups, foreign.id, add=[member_id], organization_id=GLOBEX)
        with member_not_found(member_id):
            await create_group(groups, "Other", [member_id], organization_id=GLOBEX)
    listed = await list_groups(groups, organization_id=GLOBEX, count_total=True)
    assert listed == ListGroupsResponse(groups=[foreign], total_size=1)


async def test_filter_finds_nothing_of_another_organization(users, groups, ann, team):
    found = await list_groups(groups, compare("members.value", "EQUAL", ann.id), GLOBEX)
    assert found == ListGroupsResponse()
    assert (
        await list_users(users, compare("groups.value", "EQUAL", team.id), GLOBEX)
        == ListUsersResponse()
    )


async def test_user_is_only_in_groups_of_its_own_organization(users, groups, ann, team):
    namesake = await create(users, "ann", organization_id=GLOBEX)
    assert await groups_of(users, namesake.id, organization_id=GLOBEX) == []


async def test_page_token_of_another_organization_is_refused(groups, users, team):
    await create_group(groups, "Second")
    bob = await create(users, "bob")
    await change_members(groups, team.id, add=[bob.id])
    of_groups = (await list_groups(groups, page_size=1)).next_page_token
    of_members = (await list_members(groups, team.id, page_size=1)).next_page_token
    with refused(Reason.REASON_INVALID_PAGE_TOKEN, StatusCode.INVALID_ARGUMENT):
        await list_groups(groups, organization_id=GLOBEX, page_token=of_groups)
    with refused(Reason.REASON_INVALID_PAGE_TOKEN, StatusCode.INVALID_ARGUMENT):
        await list_members(groups, team.id, GLOBEX, page_token=of_members)


async def test_page_token_of_users_is_refused_for_groups(groups, users, ann, team):
    await create(users, "bob")
    token = (await list_users(users, page_size=1)).next_page_token
    with refused(Reason.REASON_INVALID_PAGE_TOKEN, StatusCode.INVALID_ARGUMENT):
        await list_groups(groups, page_token=token)
