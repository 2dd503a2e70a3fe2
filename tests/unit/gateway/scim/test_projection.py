"""The attributes of a response: `attributes`, `excludedAttributes`, `returned`."""

import pytest

from gateway.scim import projection
from gateway.scim.schema import ENTERPRISE_USER_URN, GROUP, USER, USER_URN, Schema
from tests.support.scim_errors import refused

ANN = {
    "schemas": [USER_URN, ENTERPRISE_USER_URN],
    "id": "u1",
    "userName": "ann",
    "active": False,
    "name": {"givenName": "Ann", "familyName": "Li"},
    "emails": [{"type": "work", "value": "a@x"}, {"value": "b@x"}],
    ENTERPRISE_USER_URN: {"department": "R", "manager": {"value": "u2"}},
    "meta": {"resourceType": "User", "location": "/Users/u1"},
}
ALWAYS = {"schemas": ANN["schemas"], "id": "u1"}


def test_projection_without_parameters_returns_the_same_object():
    assert projection.parse(USER, None, None).apply(ANN) is ANN
    assert projection.parse(USER, "", "").apply(ANN) is ANN


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("id", {}),
        ("nope", {}),
        ("userName", {"userName": "ann"}),
        (" USERNAME , active", {"userName": "ann", "active": False}),
        ("name", {"name": ANN["name"]}),
        ("name.givenName", {"name": {"givenName": "Ann"}}),
        ("name.givenName,name", {"name": ANN["name"]}),
        ("name.middleName", {}),
        ("emails.type", {"emails": [{"type": "work"}]}),
        (f"{USER_URN}:userName", {"userName": "ann"}),
        (f"{ENTERPRISE_USER_URN}:department", {ENTERPRISE_USER_URN: {"department": "R"}}),
        ("manager.value", {ENTERPRISE_USER_URN: {"manager": {"value": "u2"}}}),
        (ENTERPRISE_USER_URN, {ENTERPRISE_USER_URN: ANN[ENTERPRISE_USER_URN]}),
        ("meta.location", {"meta": {"location": "/Users/u1"}}),
    ],
)
def test_attributes_selects_named_and_always_returned_attributes(attributes, expected):
    assert projection.parse(USER, attributes, None).apply(ANN) == {**ALWAYS, **expected}


def test_urn_of_the_core_schema_selects_all_its_attributes():
    core = {k: v for k, v in ANN.items() if k != ENTERPRISE_USER_URN}
    assert projection.parse(USER, USER_URN, None).apply(ANN) == core


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ("nope", ANN),
        ("id,schemas", ANN),
        ("emails,meta", {k: v for k, v in ANN.items() if k not in {"emails", "meta"}}),
        ("name.givenName", {**ANN, "name": {"familyName": "Li"}}),
        (
            "NAME.givenName,name.familyname",
            {k: v for k, v in ANN.items() if k != "name"},
        ),
        ("emails.value", {**ANN, "emails": [{"type": "work"}]}),
        ("manager", {**ANN, ENTERPRISE_USER_URN: {"department": "R"}}),
    ],
)
def test_excluded_attributes_are_omitted_unless_always_returned(excluded, expected):
    assert projection.parse(USER, None, excluded).apply(ANN) == expected


def test_attributes_with_excluded_attributes_is_refused():
    with refused(400, "invalidValue", "excludedAttributes"):
        projection.parse(USER, "id", "name")


@pytest.mark.parametrize(
    ("attributes", "excluded", "included"),
    [
        (None, None, True),
        ("displayName", None, False),
        ("members.value", None, True),
        ("MEMBERS", None, True),
        (None, "members", False),
        (None, "members.display", True),
        (None, "displayName", True),
    ],
)
def test_members_are_included_only_if_the_response_contains_them(attributes, excluded, included):
    assert projection.parse(GROUP, attributes, excluded).includes("members") is included


@pytest.mark.parametrize(
    ("attributes", "excluded", "named"),
    [
        (None, None, False),
        (None, "displayName", False),
        (None, "groups.display", False),
        ("displayName", None, False),
        ("GROUPS", None, True),
        ("displayName,groups.value", None, True),
        (f"{USER_URN}:groups", None, True),
        (USER_URN, None, True),
        (ENTERPRISE_USER_URN, None, False),
    ],
)
def test_attribute_is_named_only_by_the_attributes_parameter(attributes, excluded, named):
    assert projection.parse(USER, attributes, excluded).names("groups") is named


LOCK = {"maker": "k", "model": "m", "year": "y"}
VAULT_URN = "urn:acme:1.0:Vault"
VAULT = USER.with_extension(
    Schema.from_document(
        {
            "id": VAULT_URN,
            "name": "Vault",
            "attributes": [
                {"name": "pin", "type": "string", "returned": "never"},
                {"name": "hint", "type": "string", "returned": "request"},
                {"name": "badge", "type": "string", "returned": "always"},
                {"name": "color", "type": "string"},
                {
                    "name": "lock",
                    "type": "complex",
                    "returned": "request",
                    "subAttributes": [
                        {"name": "maker", "type": "string", "returned": "always"},
                        {"name": "model", "type": "string"},
                        {"name": "year", "type": "string"},
                    ],
                },
            ],
        }
    )
)


@pytest.mark.parametrize(
    ("attributes", "excluded", "expected"),
    [
        (None, None, {"badge": "b", "color": "c"}),
        ("hint,pin", None, {"badge": "b", "hint": "h"}),
        (VAULT_URN, None, {"badge": "b", "hint": "h", "color": "c", "lock": LOCK}),
        ("lock.model", None, {"badge": "b", "lock": {"maker": "k", "model": "m"}}),
        ("color", None, {"badge": "b", "color": "c"}),
        (None, "badge,color", {"badge": "b"}),
    ],
)
def test_attributes_are_returned_as_their_schema_defines(attributes, excluded, expected):
    vault = {"pin": "p", "hint": "h", "badge": "b", "color": "c", "lock": LOCK}
    resource = {"id": "1", VAULT_URN: vault}
    projected = projection.parse(VAULT, attributes, excluded).apply(resource)
    assert projected == {"id": "1", VAULT_URN: expected}


@pytest.mark.parametrize(
    ("attributes", "excluded", "included"),
    [
        (None, None, False),
        ("members", None, False),
        ("members.value", None, False),
        ("members.display", None, True),
        ("displayName,members.value,MEMBERS.Display", None, True),
        (None, "members", False),
        (None, "members.value", False),
    ],
)
def test_display_of_members_is_included_only_on_request(attributes, excluded, included):
    view = projection.parse(GROUP, attributes, excluded)
    assert view.includes("members", "display") is included
