"""Names and attributes of people."""

from cloudacademy.users.v1.schemas_pb2 import Extension
from cloudacademy.users.v1.schemas_pb2 import Value as ExtensionValue
from cloudacademy.users.v1.users_pb2 import (
    EnterpriseUser,
    GroupMembership,
    Manager,
    Name,
    TypedValue,
    User,
)

from gateway.portal.models.people_rows import Value, display_name_of, initials, values

USER = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11"
KEY = "0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e12"


def test_display_name_falls_back_to_name_then_user_name():
    assert display_name_of(User(user_name="u", display_name="D", name=Name(given_name="A"))) == "D"
    assert display_name_of(User(user_name="u", name=Name(given_name="A", family_name="L"))) == "A L"
    assert display_name_of(User(user_name="u")) == "u"
    assert [initials(each) for each in ("Ann Li", "ann.li@x", "李", "--")] == [
        "AL",
        "AL",
        "李",
        "?",
    ]


def test_values_are_listed_under_their_scim_names():
    user = User(
        id=USER,
        user_name="ann",
        active=False,
        name=Name(given_name="Ann"),
        groups=[GroupMembership(display_name="Team")],
        more_groups=True,
        emails=[TypedValue(value="a@x", type="work", primary=True), TypedValue(value="b@x")],
        enterprise=EnterpriseUser(department="R&D", manager=Manager(value=KEY)),
        extensions={
            "urn:x": Extension(
                values={
                    "badge": ExtensionValue(integer=7),
                    "desk": ExtensionValue(
                        parts=Extension(values={"free": ExtensionValue(boolean=False)})
                    ),
                }
            )
        },
    )
    assert values(user) == [
        Value("userName", "ann"),
        Value("active", "false"),
        Value("name.givenName", "Ann"),
        Value("emails", "a@x (work, primary)"),
        Value("emails", "b@x"),
        Value("department", "R&D"),
        Value("manager", KEY),
        Value("urn:x:badge", "7"),
        Value("urn:x:desk.free", "false"),
    ]
