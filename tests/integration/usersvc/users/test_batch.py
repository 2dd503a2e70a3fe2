"""BatchGetUsers and LookupUsers."""

import pytest
from cloudacademy.users.v1 import users_pb2
from cloudacademy.users.v1.users_pb2 import TypedValue, UserKey

from tests.support.usersvc.group_calls import create_group
from tests.support.usersvc.user_calls import ACME, GLOBEX, NOBODY, create, invalid_field, update

MIB = 1024 * 1024


async def batch_get(
    users, *ids: str, organization_id: str = ACME, **fields: object
) -> users_pb2.BatchGetUsersResponse:
    request = users_pb2.BatchGetUsersRequest(
        organization_id=organization_id, user_ids=ids, **fields
    )
    return await users.BatchGetUsers(request)


async def look_up(
    users, *keys: UserKey, organization_id: str = ACME, **fields: object
) -> users_pb2.LookupUsersResponse:
    request = users_pb2.LookupUsersRequest(organization_id=organization_id, keys=keys, **fields)
    return await users.LookupUsers(request)


def by_user_name(user_name: str) -> UserKey:
    return UserKey(user_name=user_name)


def by_external_id(external_id: str) -> UserKey:
    return UserKey(external_id=external_id)


async def create_large(users, user_name: str, **fields: object) -> users_pb2.User:
    """A user of about one megabyte."""
    return await create(users, user_name, emails=[TypedValue(display="x" * 8000)] * 130, **fields)


async def test_batch_returns_users_in_request_order(users):
    created = [await create(users, f"user{number}") for number in range(5)]
    wanted = [created[3], created[0], created[4]]
    response = await batch_get(users, *[user.id for user in wanted])
    assert response == users_pb2.BatchGetUsersResponse(users=wanted)


async def test_batch_reports_unknown_ids_and_returns_the_others(users):
    ann = await create(users, "ann")
    foreign = await create(users, "ann", organization_id=GLOBEX)
    response = await batch_get(users, NOBODY, ann.id, foreign.id)
    assert response == users_pb2.BatchGetUsersResponse(
        users=[ann], missing_user_ids=[NOBODY, foreign.id]
    )


async def test_batch_returns_a_repeated_id_once(users):
    ann = await create(users, "ann")
    response = await batch_get(users, ann.id, ann.id.upper(), NOBODY, NOBODY)
    assert response == users_pb2.BatchGetUsersResponse(users=[ann], missing_user_ids=[NOBODY])


async def test_batch_without_ids_returns_no_users(users):
    assert await batch_get(users) == users_pb2.BatchGetUsersResponse()


async def test_batch_accepts_1000_ids_and_refuses_more(users):
    ids = [f"018f6d2e-0000-7000-8000-{number:012}" for number in range(1001)]
    assert len((await batch_get(users, *ids[:1000])).missing_user_ids) == 1000
    with invalid_field("user_ids"):
        await batch_get(users, *ids)


async def test_batch_names_the_position_of_an_invalid_id(users):
    with invalid_field("user_ids[1]"):
        await batch_get(users, NOBODY, "ann")


async def test_batch_returns_groups_on_request(users, groups):
    ann = await create(users, "ann")
    team = await create_group(groups, "team", [ann.id])
    response = await batch_get(users, ann.id, view=users_pb2.USER_VIEW_WITH_GROUPS)
    assert [group.group_id for group in response.users[0].groups] == [team.id]


async def test_batch_over_message_size_reports_remaining_ids(users):
    created = [await create_large(users, f"user{number}") for number in range(4)]
    small = await create(users, "small")
    ids = [user.id for user in (*created, small)]
    response = await batch_get(users, *ids[:2], NOBODY, *ids[2:])
    assert response == users_pb2.BatchGetUsersResponse(
        users=created[: len(response.users)],
        missing_user_ids=[NOBODY],
        remaining_user_ids=ids[len(response.users) :],
    )
    assert 0 < len(response.users) < 4
    assert response.ByteSize() < 4 * MIB
    rest = await batch_get(users, *response.remaining_user_ids)
    assert list(response.users) + list(rest.users) == [*created, small]


async def test_lookup_by_user_name_ignores_case(users):
    ann = await create(users, "Ann@Acme.test")
    key = by_user_name("aNN@ACME.test")
    response = await look_up(users, key)
    assert response.matches == [users_pb2.UserMatch(key=key, users=[ann])]


async def test_lookup_by_external_id_is_exact_and_in_order_of_creation(users):
    created = [await create(users, f"user{number}", external_id="E-7") for number in range(3)]
    await update(users, created[0].id, title="moved in its table")
    response = await look_up(users, by_external_id("E-7"), by_external_id("e-7"))
    found = [[user.user_name for user in match.users] for match in response.matches]
    assert found == [["user0", "user1", "user2"], []]


async def test_lookup_returns_one_match_per_key_in_request_order(users):
    ann = await create(users, "ann", external_id="1")
    bob = await create(users, "bob", external_id="2")
    keys = [
        by_external_id("2"),
        by_user_name("nobody"),
        by_user_name("ann"),
        by_user_name("ANN"),
        by_external_id("ann"),
    ]
    response = await look_up(users, *keys)
    found = [[bob], [], [ann], [ann], []]
    assert response == users_pb2.LookupUsersResponse(
        matches=[
            users_pb2.UserMatch(key=key, users=matching)
            for key, matching in zip(keys, found, strict=True)
        ]
    )


async def test_lookup_never_finds_users_of_another_organization(users):
    await create(users, "ann", external_id="1")
    response = await look_up(
        users, by_user_name("ann"), by_external_id("1"), organization_id=GLOBEX
    )
    assert [list(match.users) for match in response.matches] == [[], []]


async def test_lookup_returns_at_most_ten_users_per_external_id(users):
    for number in range(11):
        await create(users, f"user{number}", external_id="same" if number else "other")
    (match,) = (await look_up(users, by_external_id("same"))).matches
    assert (len(match.users), match.more_users) == (10, False)
    await create(users, "one more", external_id="same")
    (match,) = (await look_up(users, by_external_id("same"))).matches
    assert (len(match.users), match.more_users) == (10, True)


async def test_lookup_returns_groups_on_request(users, groups):
    ann = await create(users, "ann", external_id="1")
    team = await create_group(groups, "team", [ann.id])
    response = await look_up(
        users, by_user_name("ann"), by_external_id("1"), view=users_pb2.USER_VIEW_WITH_GROUPS
    )
    reported = [[group.group_id for group in match.users[0].groups] for match in response.matches]
    assert reported == [[team.id], [team.id]]


async def test_lookup_over_message_size_reports_remaining_keys(users):
    created = [await create_large(users, f"user{number}") for number in range(4)]
    keys = [by_user_name(user.user_name) for user in created] + [by_user_name("nobody")]
    response = await look_up(users, *keys)
    assert 0 < len(response.matches) < 4
    assert response.ByteSize() < 4 * MIB
    rest = await look_up(users, *response.remaining_keys)
    assert [match.key for match in (*response.matches, *rest.matches)] == keys
    assert [list(match.users) for match in (*response.matches, *rest.matches)] == [
        *([user] for user in created),
        [],
    ]


async def test_lookup_marks_external_id_whose_users_do_not_all_fit(users):
    for number in range(4):
        await create_large(users, f"user{number}", external_id="same")
    (match,) = (await look_up(users, by_external_id("same"))).matches
    assert 0 < len(match.users) < 4
    assert match.more_users


@pytest.mark.parametrize(
    ("key", "field"),
    [
        (UserKey(), "keys[1]"),
        (UserKey(user_name=""), "keys[1]"),
        (UserKey(external_id=""), "keys[1]"),
        (UserKey(user_name="x" * 1025), "keys[1].user_name"),
        (UserKey(external_id="a\0b"), "keys[1].external_id"),
    ],
)
async def test_lookup_refuses_a_key_that_no_user_can_have(users, key, field):
    with invalid_field(field):
        await look_up(users, by_user_name("ann"), key)


async def test_lookup_accepts_1000_keys_and_refuses_more(users):
    keys = [by_user_name(f"user{number}") for number in range(1001)]
    assert len((await look_up(users, *keys[:1000])).matches) == 1000
    with invalid_field("keys"):
        await look_up(users, *keys)
