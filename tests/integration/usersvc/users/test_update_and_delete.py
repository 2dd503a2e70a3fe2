"""UpdateUser and DeleteUser."""

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.users_pb2 import (
    EnterpriseUser,
    GetUserRequest,
    Manager,
    Name,
    TypedValue,
    UpdateUserRequest,
    User,
)
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from tests.support.usersvc.user_calls import (
    ACME,
    NOBODY,
    compare,
    create,
    delete,
    get,
    invalid_field,
    refused,
    update,
    user_names,
)

LATER = Timestamp(seconds=1795435260, nanos=123456000)


def changed(user: User, **fields: object) -> User:
    """The user after its first change, one minute after its creation."""
    after = User()
    after.CopyFrom(user)
    for field in fields:
        after.ClearField(field)
    after.MergeFrom(User(etag="2", update_time=LATER, **fields))
    return after


async def test_update_changes_only_the_fields_in_the_mask(users, clock):
    user = await create(users, "ann", title="Engineer", name=Name(given_name="Ann"))
    clock.advance(minutes=1)
    updated = await update(
        users, user.id, "active", "name.family_name", active=False, name=Name(family_name="Lee"),
        title="ignored",
    )  # fmt: skip
    assert updated == changed(user, active=False, name=Name(given_name="Ann", family_name="Lee"))
    assert await get(users, user.id) == updated


async def test_update_clears_an_empty_field_in_the_mask(users, clock):
    user = await create(
        users, "ann", title="Engineer", name=Name(given_name="Ann"), emails=[TypedValue(value="a")],
        enterprise=EnterpriseUser(department="Rockets", manager=Manager(value="boss")),
    )  # fmt: skip
    clock.advance(minutes=1)
    updated = await update(users, user.id, "title", "name", "emails", "enterprise.manager")
    expected = changed(user, enterprise=EnterpriseUser(department="Rockets"))
    for field in ("title", "name", "emails"):
        expected.ClearField(field)
    assert updated == expected
    assert await get(users, user.id) == updated


async def test_update_with_asterisk_mask_replaces_all_fields(users, clock):
    user = await create(users, "ann", title="Engineer", emails=[TypedValue(value="a")])
    clock.advance(minutes=1)
    updated = await update(users, user.id, "*", user_name="Ann", nick_name="A")
    expected = changed(user, user_name="Ann", nick_name="A")
    expected.ClearField("active")
    expected.ClearField("title")
    expected.ClearField("emails")
    assert updated == expected


async def test_update_replaces_a_list_as_a_whole(users):
    user = await create(users, "ann", emails=[TypedValue(value="a"), TypedValue(value="b")])
    updated = await update(users, user.id, emails=[TypedValue(value="c", type="work")])
    assert list(updated.emails) == [TypedValue(value="c", type="work")]


async def test_update_of_email_is_found_by_new_address_only(users):
    user = await create(users, "ann", emails=[TypedValue(value="old"), TypedValue(value="Kept")])
    await update(users, user.id, emails=[TypedValue(value="KEPT"), TypedValue(value="new")])
    found = [
        await user_names(users, compare("emails.value", "EQUAL", v)) for v in ("old", "kept", "NEW")
    ]
    assert found == [[], ["ann"], ["ann"]]


async def test_update_without_a_difference_keeps_the_version(users, clock):
    user = await create(users, "ann", title="Engineer")
    clock.advance(minutes=1)
    assert await update(users, user.id, title="Engineer", active=True) == user
    assert await get(users, user.id) == user


async def test_update_may_change_the_case_of_the_own_user_name(users):
    user = await create(users, "ann")
    assert (await update(users, user.id, user_name="ANN")).user_name == "ANN"


async def test_update_to_user_name_of_another_user_is_refused(users):
    await create(users, "ann")
    bob = await create(users, "bob")
    with refused(Reason.REASON_USER_NAME_TAKEN, StatusCode.ALREADY_EXISTS, user_name="Ann"):
        await update(users, bob.id, user_name="Ann")
    assert await get(users, bob.id) == bob


@pytest.mark.parametrize(
    "path",
    [
        *("id", "organization_id", "etag", "create_time", "update_time", "groups"),
        *("emails.value", "name.nothing", "displayName", "", "enterprise.manager.display", "**"),
    ],
)
async def test_update_mask_with_unsupported_path_is_refused(users, path):
    user = await create(users, "ann")
    with refused(Reason.REASON_UNKNOWN_FIELD, StatusCode.INVALID_ARGUMENT, field=path):
        await update(users, user.id, "title", path, title="Engineer")
    assert await get(users, user.id) == user


async def test_update_without_mask_is_refused(users):
    user = await create(users, "ann")
    with invalid_field("update_mask"):
        await update(users, user.id)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("user_name", {"user_name": ""}),
        ("title", {"title": "x" * 8193}),
        ("emails", {"emails": [TypedValue(primary=True)] * 2}),
    ],
)
async def test_update_with_invalid_value_changes_nothing(users, field, fields):
    user = await create(users, "ann")
    with invalid_field(field):
        await update(users, user.id, "nick_name", *fields, nick_name="A", **fields)
    assert await get(users, user.id) == user


async def test_update_does_not_validate_fields_outside_the_mask(users):
    user = await create(users, "ann")
    updated = await update(users, user.id, "nick_name", nick_name="A", title="x" * 9000)
    assert (updated.nick_name, updated.title) == ("A", "")


async def test_update_with_current_etag_succeeds_once(users):
    user = await create(users, "ann")
    await update(users, user.id, title="first", etag=user.etag)
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag="2"):
        await update(users, user.id, title="second", etag=user.etag)
    assert (await get(users, user.id)).title == "first"


@pytest.mark.parametrize(
    ("in_user", "in_request"), [("1", ""), ("1", "1"), ("1", "2"), ("2", "1"), ("x", "2")]
)
async def test_update_with_a_stale_etag_in_the_user_is_refused(users, in_user, in_request):
    user = await create(users, "ann", active=True)
    current = await update(users, user.id, active=False)
    stale = User(id=user.id, etag=in_user, active=True)
    request = UpdateUserRequest(
        organization_id=ACME,
        user=stale,
        update_mask=FieldMask(paths=["active"]),
        etag=in_request,
    )
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag=current.etag):
        await users.UpdateUser(request)
    assert await get(users, user.id) == current


async def test_user_that_was_read_can_be_sent_back(users):
    user = await create(users, "ann", title="Engineer")
    user.title = "Analyst"
    request = UpdateUserRequest(
        organization_id=ACME, user=user, update_mask=FieldMask(paths=["title"])
    )
    assert (await users.UpdateUser(request)).user.title == "Analyst"


@pytest.mark.parametrize("etag", ["0", "2", "x", "-1", "9" * 40, "\u0661"])
async def test_update_with_unknown_etag_is_refused(users, etag):
    user = await create(users, "ann")
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag="1"):
        await update(users, user.id, title="x", etag=etag)
    with refused(Reason.REASON_ETAG_MISMATCH, StatusCode.ABORTED, etag="1"):
        await delete(users, user.id, etag=etag)


async def test_update_or_delete_of_missing_user_is_not_found(users):
    for call in (update(users, NOBODY, title="x"), delete(users, NOBODY)):
        with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=NOBODY):
            await call
    with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=NOBODY):
        await delete(users, NOBODY, etag="1")


async def test_deleted_user_is_not_found(users):
    user = await create(users, "ann", emails=[TypedValue(value="a")])
    await delete(users, user.id)
    with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=user.id):
        await get(users, user.id)
    with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=user.id):
        await delete(users, user.id)


async def test_delete_removes_every_row_of_the_user(users, db):
    user = await create(users, "ann", emails=[TypedValue(value="a"), TypedValue(value="b")])
    await delete(users, user.id, etag=user.etag)
    assert await db.fetch("SELECT user_id FROM user_email") == []


async def test_deleted_user_name_is_free_and_its_id_is_not_reused(users):
    user = await create(users, "ann")
    await delete(users, user.id)
    assert (await create(users, "ann")).id != user.id


@pytest.mark.parametrize("max_bytes", [0, 100, 100_000])
async def test_user_larger_than_max_bytes_is_returned_as_a_reference(users, max_bytes: int):
    photos = [TypedValue(value="x" * 8_000)]
    ann = await create(users, "ann", photos=photos)
    fields = {"organization_id": ann.organization_id, "max_bytes": max_bytes}
    read = await users.GetUser(GetUserRequest(**fields, user_id=ann.id))
    updated = await users.UpdateUser(
        UpdateUserRequest(
            **fields, user=User(id=ann.id, title="Dr."), update_mask=FieldMask(paths=["title"])
        )
    )
    after = await get(users, ann.id)

    assert after.title == "Dr."
    if max_bytes != 100:
        assert (read.user, read.omitted_bytes) == (ann, 0)
        assert (updated.user, updated.omitted_bytes) == (after, 0)
        return
    assert (read.user, read.omitted_bytes) == (reference(ann), ann.ByteSize())
    assert (updated.user, updated.omitted_bytes) == (reference(after), after.ByteSize())


def reference(user: User) -> User:
    """The user reduced to the fields that a reference keeps."""
    return User(
        id=user.id,
        organization_id=user.organization_id,
        etag=user.etag,
        create_time=user.create_time,
        update_time=user.update_time,
    )
