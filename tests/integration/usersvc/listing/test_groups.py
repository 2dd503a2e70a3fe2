"""ListGroups, and the filters by members of groups and by groups of users."""

import itertools

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.groups_pb2 import ListGroupsResponse
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from tests.support.usersvc.group_calls import create_group, delete_group, group_names, list_groups
from tests.support.usersvc.user_calls import (
    NOBODY,
    all_of,
    any_of,
    compare,
    create,
    element,
    invalid_field,
    negation,
    present,
    refused,
    user_names,
)


@pytest.fixture
async def people(users):
    """The ids of three users."""
    return [(await create(users, name)).id for name in ("ann", "bob", "cat")]


@pytest.fixture
async def four(groups, people, clock):
    """Groups with no, one, two and three members; the last group contains the first group."""
    created = []
    for name, count in (("Zero", 0), ("one", 1), ("Two", 2), ("three", 2)):
        clock.advance(seconds=1)
        nested = [created[0].id] if name == "three" else []
        created.append(
            await create_group(
                groups, name, people[:count] + nested, external_id=f"e-{count}" if count else ""
            )
        )
    return created


async def test_groups_are_listed_in_order_of_creation(groups, four):
    assert await list_groups(groups) == ListGroupsResponse(groups=four)


async def test_list_of_organization_without_groups_is_empty(groups):
    assert await list_groups(groups, count_total=True) == ListGroupsResponse()


async def test_pages_by_token_return_each_group_once(groups, four):
    first = await list_groups(groups, page_size=3, count_total=True)
    await delete_group(groups, four[1].id)
    rest = await list_groups(groups, page_size=3, page_token=first.next_page_token)
    assert (list(first.groups), first.total_size) == (four[:3], 4)
    assert rest == ListGroupsResponse(groups=four[3:])


async def test_total_counts_skipped_and_omitted_groups(groups, four):
    page = await list_groups(groups, skip=3, count_total=True)
    assert page == ListGroupsResponse(groups=four[3:], total_size=4)
    page = await list_groups(groups, omit_groups=True, count_total=True)
    assert page == ListGroupsResponse(total_size=4)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("display_name", ["one", "three", "Two", "Zero"]),
        ("display_name desc", ["Zero", "Two", "three", "one"]),
        ("external_id", ["one", "Two", "three", "Zero"]),
        ("external_id desc", ["Zero", "three", "Two", "one"]),
        ("update_time desc", ["three", "Two", "one", "Zero"]),
        ("create_time", ["Zero", "one", "Two", "three"]),
        ("id desc", ["three", "Two", "one", "Zero"]),
    ],
)
async def test_groups_are_sorted_across_pages(groups, four, order, expected):
    found, token = [], ""
    while not found or token:
        page = await list_groups(groups, page_size=2, order_by=order, page_token=token)
        found += [group.display_name for group in page.groups]
        token = page.next_page_token
    assert found == expected


def create_time(group) -> Timestamp:
    return Timestamp(seconds=group.create_time.seconds, nanos=group.create_time.nanos)


@pytest.mark.parametrize(
    ("filter_of", "expected"),
    [
        (lambda four, people: compare("id", "EQUAL", four[1].id), ["one"]),
        (lambda four, people: compare("display_name", "EQUAL", "TWO"), ["Two"]),
        (lambda four, people: compare("display_name", "STARTS_WITH", "t"), ["Two", "three"]),
        (lambda four, people: compare("display_name", "CONTAINS", "O"), ["Zero", "one", "Two"]),
        (lambda four, people: compare("external_id", "EQUAL", "e-1"), ["one"]),
        (lambda four, people: compare("external_id", "EQUAL", "E-1"), []),
        (lambda four, people: present("external_id"), ["one", "Two", "three"]),
        (
            lambda four, people: compare("update_time", "GREATER_THAN", create_time(four[1])),
            ["Two", "three"],
        ),
        (
            lambda four, people: compare("create_time", "LESS_OR_EQUAL", create_time(four[0])),
            ["Zero"],
        ),
        (lambda four, people: compare("members.value", "EQUAL", people[1]), ["Two", "three"]),
        (lambda four, people: compare("members.value", "EQUAL", four[0].id), ["three"]),
        (lambda four, people: compare("members.value", "EQUAL", people[2]), []),
        (lambda four, people: compare("members.value", "EQUAL", NOBODY), []),
        (lambda four, people: compare("members.value", "EQUAL", "ann"), []),
        (lambda four, people: compare("members.value", "EQUAL", people[0].upper()), []),
        (
            lambda four, people: compare("members.value", "NOT_EQUAL", people[0]),
            ["Zero", "Two", "three"],
        ),
        (
            lambda four, people: negation(compare("members.value", "EQUAL", people[1])),
            ["Zero", "one"],
        ),
        (lambda four, people: present("members"), ["one", "Two", "three"]),
        (lambda four, people: present("members.value"), ["one", "Two", "three"]),
        (lambda four, people: negation(present("members")), ["Zero"]),
        (lambda four, people: compare("members.kind", "EQUAL", "Group"), ["three"]),
        (
            lambda four, people: element("members", compare("value", "EQUAL", people[0])),
            ["one", "Two", "three"],
        ),
        (
            lambda four, people: element(
                "members",
                any_of(compare("value", "EQUAL", people[1]), compare("value", "EQUAL", four[0].id)),
            ),
            ["Two", "three"],
        ),
        (
            lambda four, people: element(
                "members",
                all_of(compare("value", "EQUAL", people[1]), compare("kind", "EQUAL", "group")),
            ),
            [],
        ),
        (
            lambda four, people: any_of(
                compare("members.value", "EQUAL", four[0].id),
                compare("display_name", "EQUAL", "one"),
            ),
            ["one", "three"],
        ),
    ],
    ids=itertools.count(),
)
async def test_group_filter_finds_matching_groups(groups, people, four, filter_of, expected):
    assert await group_names(groups, filter_of(four, people)) == expected


async def test_filter_by_group_and_member_finds_only_its_members(groups, people, four):
    is_two = compare("id", "EQUAL", four[2].id)
    found = [
        await group_names(groups, all_of(is_two, compare("members.value", "EQUAL", user_id)))
        for user_id in people
    ]
    assert found == [["Two"], ["Two"], []]


async def test_users_are_found_by_the_groups_they_belong_to(users, people, four):
    in_two = compare("groups.value", "EQUAL", four[2].id)
    assert await user_names(users, in_two) == ["ann", "bob"]
    assert await user_names(users, negation(in_two)) == ["cat"]
    assert await user_names(users, all_of(in_two, compare("id", "EQUAL", people[1]))) == ["bob"]
    assert await user_names(users, element("groups", compare("value", "EQUAL", four[1].id))) == [
        "ann"
    ]
    assert await user_names(users, present("groups")) == ["ann", "bob"]
    assert await user_names(users, compare("groups.value", "EQUAL", NOBODY)) == []


@pytest.mark.parametrize(
    ("field", "filter_"),
    [
        ("user_name", compare("user_name", "EQUAL", "x")),
        ("members", compare("members", "EQUAL", "x")),
        ("members.display", compare("members.display", "EQUAL", "x")),
        ("organization_id", present("organization_id")),
        ("display_name", element("display_name", present("value"))),
        ("id", element("members", present("id"))),
    ],
)
async def test_group_filter_on_unsupported_field_is_refused(groups, field, filter_):
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=field):
        await list_groups(groups, filter_)


@pytest.mark.parametrize("operator", ["CONTAINS", "STARTS_WITH", "GREATER_THAN", "LESS_OR_EQUAL"])
async def test_members_filter_with_ordering_operator_is_refused(groups, operator):
    with refused(Reason.REASON_INVALID_FILTER, StatusCode.INVALID_ARGUMENT):
        await list_groups(groups, compare("members.value", operator, NOBODY))


@pytest.mark.parametrize("order", ["members", "members.value", "user_name"])
async def test_group_order_by_unsupported_field_is_refused(groups, order):
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=order):
        await list_groups(groups, order_by=order)


@pytest.mark.parametrize("name", ["page_size", "skip"])
async def test_negative_page_size_or_skip_is_refused(groups, name):
    with invalid_field(name):
        await list_groups(groups, **{name: -1})
