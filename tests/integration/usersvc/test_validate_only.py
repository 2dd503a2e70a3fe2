"""Writes with `validate_only`."""

from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import groups_pb2, users_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from tests.support.usersvc.group_calls import (
    create_group,
    get_group,
    group_cycle,
    group_not_found,
    list_groups,
    member_not_found,
    members,
)
from tests.support.usersvc.schema_calls import badge
from tests.support.usersvc.user_calls import (
    ACME,
    NOBODY,
    create,
    get,
    invalid_field,
    list_users,
    refused,
)


async def validate_create(users, user_name: str, **fields: object) -> users_pb2.User:
    user = users_pb2.User(user_name=user_name, **fields)
    request = users_pb2.CreateUserRequest(organization_id=ACME, user=user, validate_only=True)
    return (await users.CreateUser(request)).user


async def validate_update(
    users, user_id: str, *mask: str, etag: str = "", **fields: object
) -> users_pb2.User:
    request = users_pb2.UpdateUserRequest(
        organization_id=ACME,
        user=users_pb2.User(id=user_id, **fields),
        update_mask=FieldMask(paths=mask or tuple(fields)),
        etag=etag,
        validate_only=True,
    )
    return (await users.UpdateUser(request)).user


async def validate_delete(users, user_id: str, etag: str = "") -> None:
    await users.DeleteUser(
        users_pb2.DeleteUserRequest(
            organization_id=ACME, user_id=user_id, etag=etag, validate_only=True
        )
    )


async def validate_create_group(
    groups, display_name: str, member_ids: tuple[str, ...] = ()
) -> groups_pb2.Group:
    request = groups_pb2.CreateGroupRequest(
        organization_id=ACME,
        group=groups_pb2.Group(display_name=display_name),
        member_ids=member_ids,
        validate_only=True,
    )
    return (await groups.CreateGroup(request)).group


async def validate_update_group(
    groups, group_id: str, *mask: str, etag: str = "", add: tuple[str, ...] = (), **fields: str
) -> groups_pb2.Group:
    request = groups_pb2.UpdateGroupRequest(
        organization_id=ACME,
        group=groups_pb2.Group(id=group_id, **fields),
        update_mask=FieldMask(paths=mask or tuple(fields)),
        members=groups_pb2.MemberChange(add_member_ids=add),
        etag=etag,
        validate_only=True,
    )
    return (await groups.UpdateGroup(request)).group


async def validate_delete_group(groups, group_id: str, etag: str = "") -> None:
    await groups.DeleteGroup(
        groups_pb2.DeleteGroupRequest(
            organization_id=ACME, group_id=group_id, etag=etag, validate_only=True
        )
    )


def etag_mismatch(current: str):
    return refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag=current)


def unknown_field(path: str):
    return refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=path)


async def test_validated_create_returns_user_without_id_and_writes_nothing(users):
    validated = await validate_create(users, "ann", title="Engineer")
    assert (validated.id, validated.etag) == ("", "")
    assert list((await list_users(users)).users) == []
    created = await create(users, "ann", title="Engineer")
    created.ClearField("id")
    created.ClearField("etag")
    assert validated == created


async def test_validated_create_is_refused_like_a_create(users):
    await create(users, "ann")
    with refused(Reason.REASON_USER_NAME_TAKEN, StatusCode.ALREADY_EXISTS, user_name="Ann"):
        await validate_create(users, "Ann")
    with invalid_field("title"):
        await validate_create(users, "bob", title="x" * 9000)
    with invalid_field("extensions"):
        await validate_create(users, "bob", extensions=badge(number="7"))


async def test_validated_update_returns_result_and_writes_nothing(users, clock):
    ann = await create(users, "ann", title="Engineer")
    clock.advance(minutes=1)
    validated = await validate_update(users, ann.id, title="Chief", etag=ann.etag)
    assert await get(users, ann.id) == ann
    assert (validated.id, validated.etag, validated.title) == (ann.id, "", "Chief")


async def test_validated_update_is_refused_like_an_update(users):
    await create(users, "ann")
    bob = await create(users, "bob")
    with refused(Reason.REASON_USER_NAME_TAKEN, StatusCode.ALREADY_EXISTS, user_name="Ann"):
        await validate_update(users, bob.id, user_name="Ann")
    with etag_mismatch("1"):
        await validate_update(users, bob.id, title="x", etag="7")
    with unknown_field("titel"):
        await validate_update(users, bob.id, "titel", title="x")
    with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=NOBODY):
        await validate_update(users, NOBODY, title="x")


async def test_validated_delete_is_refused_like_a_delete_or_does_nothing(users, groups):
    ann = await create(users, "ann")
    team = await create_group(groups, "team", [ann.id])
    with etag_mismatch("1"):
        await validate_delete(users, ann.id, etag="7")
    with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=NOBODY):
        await validate_delete(users, NOBODY)
    await validate_delete(users, ann.id, etag=ann.etag)
    assert await get(users, ann.id) == ann
    assert (await members(groups, team.id), await get_group(groups, team.id)) == ([ann.id], team)


async def test_validated_group_create_returns_no_id_and_writes_nothing(users, groups):
    ann = await create(users, "ann")
    validated = await validate_create_group(groups, "team", (ann.id,))
    assert (validated.id, validated.etag, validated.display_name) == ("", "", "team")
    assert list((await list_groups(groups)).groups) == []


async def test_validated_group_create_is_refused_like_a_create(groups):
    with member_not_found(NOBODY):
        await validate_create_group(groups, "team", (NOBODY,))
    with invalid_field("display_name"):
        await validate_create_group(groups, "")


async def test_validated_group_update_returns_result_and_writes_nothing(users, groups):
    ann = await create(users, "ann")
    team = await create_group(groups, "team")
    validated = await validate_update_group(
        groups, team.id, add=(ann.id,), display_name="crew", etag=team.etag
    )
    assert (validated.id, validated.etag, validated.display_name) == (team.id, "", "crew")
    assert (await members(groups, team.id), await get_group(groups, team.id)) == ([], team)


async def test_validated_group_update_is_refused_like_an_update(groups):
    team = await create_group(groups, "team")
    outer = await create_group(groups, "outer", [team.id])
    with etag_mismatch("1"):
        await validate_update_group(groups, team.id, display_name="x", etag="7")
    with unknown_field("displayName"):
        await validate_update_group(groups, team.id, "displayName")
    with member_not_found(NOBODY):
        await validate_update_group(groups, team.id, add=(NOBODY,))
    with group_cycle(team.id, outer.id):
        await validate_update_group(groups, team.id, add=(outer.id,))
    with group_not_found(NOBODY):
        await validate_update_group(groups, NOBODY, display_name="x")


async def test_validated_group_delete_is_refused_like_a_delete(groups):
    team = await create_group(groups, "team")
    with etag_mismatch("1"):
        await validate_delete_group(groups, team.id, etag="7")
    with group_not_found(NOBODY):
        await validate_delete_group(groups, NOBODY)
    await validate_delete_group(groups, team.id, etag=team.etag)
    assert await get_group(groups, team.id) == team


async def test_validated_write_is_not_in_the_feed(users, groups, db):
    ann = await create(users, "ann")
    team = await create_group(groups, "team", [ann.id])
    before = await db.fetch("SELECT number FROM changes")
    await validate_create(users, "bob")
    await validate_update(users, ann.id, title="Chief")
    await validate_delete(users, ann.id)
    await validate_create_group(groups, "crew", (ann.id,))
    await validate_update_group(groups, team.id, display_name="crew")
    await validate_delete_group(groups, team.id)
    assert await db.fetch("SELECT number FROM changes") == before


async def test_validated_write_holds_no_lock_and_no_connection(users):
    ann = await create(users, "ann")
    for _ in range(20):  # more than the pool has connections
        await validate_update(users, ann.id, title="x")
    assert await get(users, ann.id) == ann
