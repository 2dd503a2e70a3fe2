"""`max_groups`: a user in more groups is returned without them."""

from collections.abc import Awaitable, Callable

import pytest
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.groups_pb2_grpc import GroupServiceStub
from cloudacademy.users.v1.users_pb2_grpc import UserServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from tests.support.usersvc.group_calls import create_group
from tests.support.usersvc.user_calls import ACME, create, invalid_field

VIEW = users_pb2.USER_VIEW_WITH_GROUPS


async def read(users: UserServiceStub, user: users_pb2.User, **fields: object) -> users_pb2.User:
    request = users_pb2.GetUserRequest(
        organization_id=ACME, user_id=user.id, **{"view": VIEW} | fields
    )
    return (await users.GetUser(request)).user


async def batch(users: UserServiceStub, user: users_pb2.User, **fields: object) -> users_pb2.User:
    request = users_pb2.BatchGetUsersRequest(
        organization_id=ACME, user_ids=[user.id], view=VIEW, **fields
    )
    return (await users.BatchGetUsers(request)).users[0]


async def lookup(users: UserServiceStub, user: users_pb2.User, **fields: object) -> users_pb2.User:
    keys = [users_pb2.UserKey(user_name=user.user_name)]
    request = users_pb2.LookupUsersRequest(organization_id=ACME, keys=keys, view=VIEW, **fields)
    return (await users.LookupUsers(request)).matches[0].users[0]


async def listed(users: UserServiceStub, user: users_pb2.User, **fields: object) -> users_pb2.User:
    request = users_pb2.ListUsersRequest(organization_id=ACME, view=VIEW, **fields)
    return next(each for each in (await users.ListUsers(request)).users if each.id == user.id)


async def change(users: UserServiceStub, user: users_pb2.User, **fields: object) -> users_pb2.User:
    request = users_pb2.UpdateUserRequest(
        organization_id=ACME,
        user=users_pb2.User(id=user.id),
        update_mask=FieldMask(paths=["title"]),
        view=VIEW,
        **fields,
    )
    return (await users.UpdateUser(request)).user


Call = Callable[..., Awaitable[users_pb2.User]]
RPCS = pytest.mark.parametrize("rpc", [read, batch, lookup, listed, change])


@pytest.fixture
async def ann(users: UserServiceStub, groups: GroupServiceStub) -> users_pb2.User:
    """A user in two groups directly, of which one is in a third group. Bob is in one of them."""
    ann, bob = await create(users, "ann"), await create(users, "bob")
    inner = await create_group(groups, "Inner", [ann.id])
    await create_group(groups, "Outer", [inner.id])
    await create_group(groups, "Team", [ann.id, bob.id])
    return ann


def groups_in(user: users_pb2.User) -> tuple[list[tuple[str, bool]], bool]:
    """The names of a user's groups, whether each is direct, and whether there are more."""
    return [(each.display_name, each.direct) for each in user.groups], user.more_groups


ALL = [("Inner", True), ("Outer", False), ("Team", True)]


@RPCS
@pytest.mark.parametrize("max_groups", [0, 3, 2**31 - 1])
async def test_user_within_the_limit_is_returned_with_groups(
    users: UserServiceStub, ann: users_pb2.User, rpc: Call, max_groups: int
):
    assert groups_in(await rpc(users, ann, max_groups=max_groups)) == (ALL, False)


@RPCS
@pytest.mark.parametrize("max_groups", [1, 2])
async def test_user_over_the_limit_is_returned_without_groups(
    users: UserServiceStub, ann: users_pb2.User, rpc: Call, max_groups: int
):
    found = await rpc(users, ann, max_groups=max_groups)

    assert groups_in(found) == ([], True)
    assert (found.id, found.user_name) == (ann.id, "ann")


@RPCS
async def test_negative_group_limit_is_refused(
    users: UserServiceStub, ann: users_pb2.User, rpc: Call
):
    with invalid_field("max_groups"):
        await rpc(users, ann, max_groups=-1)


async def test_group_limit_applies_to_each_user_of_a_page(
    users: UserServiceStub, ann: users_pb2.User
):
    request = users_pb2.ListUsersRequest(organization_id=ACME, view=VIEW, max_groups=1)
    found = {each.user_name: each for each in (await users.ListUsers(request)).users}

    assert groups_in(found["ann"]) == ([], True)
    assert groups_in(found["bob"]) == ([("Team", True)], False)


@pytest.mark.parametrize(("max_groups", "count"), [(1, 1), (2, 2), (3, 3), (0, 3)])
async def test_truncated_groups_are_as_many_as_the_limit(
    users: UserServiceStub, ann: users_pb2.User, max_groups: int, count: int
):
    found, more = groups_in(await read(users, ann, max_groups=max_groups, truncate_groups=True))

    assert (len(found), more) == (count, count < len(ALL))
    assert set(found) <= set(ALL)


async def test_group_limit_has_no_effect_without_groups(
    users: UserServiceStub, ann: users_pb2.User
):
    found = await read(users, ann, view=users_pb2.USER_VIEW_BASIC, max_groups=1)

    assert groups_in(found) == ([], False)


async def test_group_reached_by_many_ways_counts_once(
    users: UserServiceStub, groups: GroupServiceStub
):
    ann = await create(users, "ann")
    inner = [await create_group(groups, f"Inner {n}", [ann.id]) for n in range(3)]
    await create_group(groups, "Outer", [*(each.id for each in inner), ann.id])

    assert len((await read(users, ann, max_groups=4)).groups) == 4
    assert (await read(users, ann, max_groups=3)).more_groups
