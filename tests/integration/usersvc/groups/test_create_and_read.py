"""CreateGroup, GetGroup and ListMembers."""

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.groups_pb2 import Group, ListMembersResponse, Member
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from tests.support.usersvc.group_calls import (
    GROUP,
    USER,
    create_group,
    get_group,
    group_not_found,
    list_members,
    member_not_found,
    members,
)
from tests.support.usersvc.user_calls import ACME, NOBODY, create, invalid_field, refused

NOW = Timestamp(seconds=1795435200, nanos=123456000)


async def test_created_group_is_returned_unchanged(groups):
    created = await create_group(groups, "Engineers", external_id="e-1")
    assert created == Group(
        id=created.id,
        organization_id=ACME,
        etag="1",
        create_time=NOW,
        update_time=NOW,
        display_name="Engineers",
        external_id="e-1",
    )
    assert await get_group(groups, created.id) == created


async def test_groups_may_share_names_and_external_ids(groups):
    first = await create_group(groups, "Engineers", external_id="e-1")
    second = await create_group(groups, "Engineers", external_id="e-1")
    assert first.id < second.id


async def test_group_is_created_with_its_members(users, groups):
    ann = await create(users, "ann", display_name="Ann")
    bob = await create(users, "bob")
    inner = await create_group(groups, "Inner")
    outer = await create_group(groups, "Outer", [inner.id, bob.id, ann.id, bob.id])
    assert (outer.etag, await list_members(groups, outer.id)) == (
        "1",
        ListMembersResponse(
            members=[
                Member(id=ann.id, kind=USER, display_name="Ann"),
                Member(id=bob.id, kind=USER, display_name="bob"),
                Member(id=inner.id, kind=GROUP, display_name="Inner"),
            ]
        ),
    )


async def test_create_with_missing_member_creates_nothing(users, groups, db):
    ann = await create(users, "ann")
    with member_not_found(NOBODY):
        await create_group(groups, "Engineers", [ann.id, NOBODY])
    assert await db.fetchval("SELECT count(*) FROM groups") == 0


async def test_create_names_the_first_missing_member(users, groups):
    missing = [f"018f6d2e-0000-7000-8000-00000000000{n}" for n in (9, 1, 5)]
    with member_not_found(missing[0]):
        await create_group(groups, "Engineers", [(await create(users, "ann")).id, *missing])


@pytest.mark.parametrize("member_id", ["", "ann", "{018f6d2e-0000-7000-8000-00000000000a}", "\0"])
async def test_member_id_that_is_not_a_uuid_is_not_found(groups, member_id):
    with member_not_found(member_id):
        await create_group(groups, "Engineers", [member_id])


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("display_name", {"display_name": ""}),
        ("display_name", {"display_name": "x" * 1025}),
        ("display_name", {"display_name": "a\0b"}),
        ("external_id", {"display_name": "x", "external_id": "x" * 1025}),
        ("external_id", {"display_name": "x", "external_id": "\0"}),
    ],
)
async def test_create_group_with_invalid_value_is_refused(groups, field, values):
    with invalid_field(field):
        await create_group(groups, **values)


async def test_create_with_more_than_100000_members_is_refused(groups):
    with invalid_field("member_ids"):
        await create_group(groups, "Everybody", [NOBODY] * 100_001)


async def test_get_of_missing_group_is_not_found(groups):
    with group_not_found(NOBODY):
        await get_group(groups, NOBODY)
    with group_not_found(NOBODY):
        await list_members(groups, NOBODY)


async def test_group_id_that_is_not_a_uuid_is_refused(groups):
    with invalid_field("group_id"):
        await get_group(groups, "engineers")
    with invalid_field("organization_id"):
        await create_group(groups, "Engineers", organization_id="acme")


async def test_member_list_of_empty_group_is_empty(groups):
    group = await create_group(groups, "Nobody")
    assert await list_members(groups, group.id) == ListMembersResponse()


@pytest.fixture
async def seven(users, groups):
    """A group of five users and two groups, and its members in the order of their ids."""
    ids = [(await create(users, f"user{n}")).id for n in range(3)]
    ids += [(await create_group(groups, f"group{n}")).id for n in range(2)]
    ids += [(await create(users, f"late{n}")).id for n in range(2)]
    return (await create_group(groups, "Seven", ids)).id, ids


async def test_pages_by_token_return_each_member_once(groups, seven):
    group_id, ids = seven
    pages, token = [], ""
    while not pages or token:
        page = await list_members(groups, group_id, page_size=3, page_token=token)
        pages.append([member.id for member in page.members])
        token = page.next_page_token
    assert pages == [ids[:3], ids[3:6], ids[6:]]


async def test_page_that_holds_all_members_is_the_last(groups, seven):
    group_id, ids = seven
    assert (await list_members(groups, group_id, page_size=7)).next_page_token == ""
    assert await members(groups, group_id) == ids


async def test_member_page_token_of_another_group_is_refused(groups, seven):
    group_id, ids = seven
    other = await create_group(groups, "Other", ids)
    token = (await list_members(groups, group_id, page_size=2)).next_page_token
    for invalid_token in (token, token[:-3], "x"):
        with refused(Reason.REASON_INVALID_PAGE_TOKEN, StatusCode.INVALID_ARGUMENT):
            await list_members(groups, other.id, page_token=invalid_token)


async def test_negative_page_size_of_members_is_refused(groups, seven):
    with invalid_field("page_size"):
        await list_members(groups, seven[0], page_size=-1)
