"""Roles that Entra sends as JSON in a string."""

import json

import pytest

from gateway.scim import values
from gateway.scim.entra_roles import ROLES, read_role, role_value
from tests.support.scim_errors import refused

ADMIN = json.dumps({"id": "r1", "value": "Admin", "displayName": "Admins"})
ADMIN_ROLE = {"value": "Admin", "display": "Admins"}


@pytest.mark.parametrize(
    ("sent", "role"),
    [
        (ADMIN, ADMIN_ROLE),
        ({"value": ADMIN}, ADMIN_ROLE),
        ({"VALUE": f"  {ADMIN}"}, ADMIN_ROLE),
        ({"value": json.dumps({"value": ADMIN})}, {"value": "Admin"}),
        (json.dumps({"Value": "A", "type": "t", "primary": "True"}),
         {"value": "A", "type": "t", "primary": True}),
        ({"value": ADMIN, "display": "Shown", "primary": False, "type": ""},
         {"value": "Admin", "display": "Shown", "primary": False}),
        ({"value": "A", "displayName": "Admins"}, {"value": "A", "display": "Admins"}),
        (json.dumps({"id": "0", "value": None, "displayName": "Default"}), {"display": "Default"}),
        ("Admin", {"value": "Admin"}),
        ("{staff}", {"value": "{staff}"}),
        ('["a"]', {"value": '["a"]'}),
        ('{"id": "r1"}', {"value": '{"id": "r1"}'}),
    ],
)  # fmt: skip
def test_role_is_read_from_json_text_or_object(sent, role):
    assert values.read(ROLES, [sent]) == [role]
    assert values.read(ROLES, [role]) == [role]


def test_role_object_with_the_same_member_twice_is_refused():
    with refused(400, "invalidSyntax"):
        values.read(ROLES, [{"value": ADMIN, "Value": "x"}])


def test_role_in_json_with_an_invalid_part_is_refused():
    with refused(400, "invalidValue"):
        values.read(ROLES, [json.dumps({"value": 25})])


def test_role_text_over_the_limit_is_refused_without_parsing_it():
    text = json.dumps({"value": "Admin", "displayName": "x" * 9000})
    assert read_role(text) == text
    with refused(400, "invalidValue"):
        values.read(ROLES, [text])


def test_value_of_a_text_without_a_role_is_the_text():
    assert [role_value(text) for text in (ADMIN, "Admin", "{}")] == ["Admin", "Admin", "{}"]
