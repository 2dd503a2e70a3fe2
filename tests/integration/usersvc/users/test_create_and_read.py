"""CreateUser and GetUser."""

import pytest
from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1.users_pb2 import (
    Address,
    CreateUserRequest,
    EnterpriseUser,
    GetUserRequest,
    Manager,
    Name,
    TypedValue,
    User,
)
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from tests.support.usersvc.user_calls import ACME, NOBODY, create, get, invalid_field, refused

FULL_USER = User(
    user_name="Ann.Lee@Acme.test",
    external_id="00u-1",
    active=False,
    name=Name(
        formatted="Dr. Ann B. Lee III",
        family_name="Lee",
        given_name="Ann",
        middle_name="B.",
        honorific_prefix="Dr.",
        honorific_suffix="III",
    ),
    display_name="Ann Lee",
    nick_name="Annie",
    profile_url="https://acme.test/ann",
    title="Engineer",
    user_type="Employee",
    preferred_language="en-GB, de;q=0.5",
    locale="en-GB",
    timezone="Europe/Berlin",
    emails=[
        TypedValue(value="Ann@Acme.test", display="Ann", type="work", primary=True),
        TypedValue(value="ann@home.test", type="home", primary=False),
        TypedValue(value="ann@home.test"),
    ],
    phone_numbers=[TypedValue(value="+49 30 1", type="mobile")],
    ims=[TypedValue(value="ann", type="xmpp")],
    photos=[TypedValue(value="https://acme.test/ann.png", type="photo")],
    addresses=[
        Address(
            formatted="Street 1\nBerlin",
            street_address="Street 1",
            locality="Berlin",
            region="BE",
            postal_code="10115",
            country="DE",
            type="work",
            primary=True,
        )
    ],
    entitlements=[TypedValue(value="catalogue")],
    roles=[TypedValue(value="Administrator", primary=True)],
    x509_certificates=[TypedValue(value="MIIB")],
    enterprise=EnterpriseUser(
        employee_number="7",
        cost_center="K1",
        organization="Acme",
        division="Space",
        department="Rockets",
        manager=Manager(value="018f-boss"),
    ),
)
NOW = Timestamp(seconds=1795435200, nanos=123456000)


def created(user: User, user_id: str) -> User:
    """The user that a create returns for a sent user."""
    output = User(
        id=user_id, organization_id=ACME, etag="1", create_time=NOW, update_time=NOW, active=True
    )
    output.MergeFrom(user)
    return output


async def test_created_user_is_returned_with_all_its_values(users):
    request = CreateUserRequest(organization_id=ACME, user=FULL_USER)
    user = (await users.CreateUser(request)).user
    assert user == created(FULL_USER, user.id)
    assert await get(users, user.id) == user


async def test_create_requires_only_a_user_name(users):
    user = await create(users, "ann")
    assert user == created(User(user_name="ann"), user.id)
    assert await get(users, user.id) == user


async def test_new_user_id_is_a_uuid_of_version_7(users):
    assert (await create(users, "ann")).id[14] == "7"


async def test_create_ignores_output_only_fields(users):
    sent = User(user_name="ann", id=NOBODY, organization_id=NOBODY, etag="77", create_time=NOW)
    sent.create_time.seconds = 1
    user = (await users.CreateUser(CreateUserRequest(organization_id=ACME, user=sent))).user
    assert user == created(User(user_name="ann"), user.id)
    assert user.id != NOBODY


async def test_empty_list_element_is_kept(users):
    user = await create(users, "ann", emails=[TypedValue()])
    assert list((await get(users, user.id)).emails) == [TypedValue()]


@pytest.mark.parametrize(
    ("first", "second"), [("ann", "ANN"), ("Élan", "éLAN"), ("ΟΔΟΣ", "οδος"), ("Straẞe", "STRAße")]
)
async def test_create_of_user_name_in_other_case_is_refused(users, first, second):
    await create(users, first)
    with refused(Reason.REASON_USER_NAME_TAKEN, StatusCode.ALREADY_EXISTS, user_name=second):
        await create(users, second)


@pytest.mark.parametrize(
    ("first", "second"), [("straße", "strasse"), ("ﬁn", "fin"), ("\u0131", "i")]
)
async def test_user_names_that_differ_by_more_than_case_are_distinct(users, first, second):
    names = [(await create(users, name)).user_name for name in (first, second)]
    assert names == [first, second]


async def test_texts_of_maximum_length_are_accepted(users):
    texts = {
        "external_id": "é" * 512,
        "display_name": "\U0001f600" * 256,
        "title": "t" * 8192,
        "emails": [TypedValue(value="e" * 1024)],
        "enterprise": EnterpriseUser(manager=Manager(value="m" * 1024)),
        "roles": [TypedValue(value=str(number)) for number in range(1000)],
    }
    user = await create(users, "n" * 1024, **texts)
    assert await get(users, user.id) == user


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("user_name", {"user_name": "n" * 1025}),
        ("user_name", {"user_name": "é" * 513}),
        ("user_name", {"user_name": ""}),
        ("user_name", {"user_name": "a\0b"}),
        ("external_id", {"external_id": "x" * 1025}),
        ("display_name", {"display_name": "x" * 1025}),
        ("title", {"title": "x" * 8193}),
        ("title", {"title": "\0"}),
        ("name.given_name", {"name": Name(given_name="x" * 8193)}),
        ("enterprise.department", {"enterprise": EnterpriseUser(department="\0")}),
        ("enterprise.manager", {"enterprise": EnterpriseUser(manager=Manager(value="x" * 1025))}),
        ("emails.value", {"emails": [TypedValue(value="x" * 1025)]}),
        ("emails.type", {"emails": [TypedValue(type="\0")]}),
        ("addresses.locality", {"addresses": [Address(locality="x" * 8193)]}),
        ("roles", {"roles": [TypedValue(value="r")] * 1001}),
        ("emails", {"emails": [TypedValue(primary=True), TypedValue(primary=True)]}),
        ("addresses", {"addresses": [Address(primary=True), Address(primary=True)]}),
    ],
)
async def test_create_with_invalid_value_is_refused_by_field(users, field, fields):
    with invalid_field(field):
        await create(users, **({"user_name": "ann"} | fields))


async def test_get_of_missing_user_is_not_found(users):
    with refused(Reason.REASON_USER_NOT_FOUND, StatusCode.NOT_FOUND, user_id=NOBODY):
        await get(users, NOBODY)


async def test_get_by_upper_case_id_finds_user(users):
    user = await create(users, "ann")
    assert await get(users, user.id.upper()) == user


@pytest.mark.parametrize("text", ["", "7", "x" * 36, NOBODY.replace("-", ""), f"{{{NOBODY}}}"])
async def test_get_by_id_that_is_not_a_uuid_is_refused(users, text):
    with invalid_field("user_id"):
        await users.GetUser(GetUserRequest(organization_id=ACME, user_id=text))
    with invalid_field("organization_id"):
        await users.GetUser(GetUserRequest(organization_id=text, user_id=NOBODY))
