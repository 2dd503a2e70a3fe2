from tools.entra.dialects import Dialect, dialect_for, membership, patch
from tools.entra.groups import Group
from tools.entra.groups import post_body as group_post_body
from tools.entra.mapping import (
    DEPARTMENT,
    WORK_EMAIL,
    differences,
    expected_values,
    post_body,
    returned_values,
)
from tools.entra.people import Person

ANN = Person(
    number=1,
    user_name="ann@corp.test",
    external_id="ann",
    given_name="Ann",
    family_name="Li",
    department="Sales",
    email="ann@corp.test",
)
VALUES = {"userName": "ann2@corp.test", WORK_EMAIL: "ann2@corp.test", DEPARTMENT: "Sales"}


def test_verbose_patch_has_one_operation_per_attribute():
    assert patch(Dialect.VERBOSE, VALUES, present={"userName"}) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [
            {"op": "Replace", "path": "userName", "value": "ann2@corp.test"},
            {"op": "Add", "path": 'emails[type eq "work"].value', "value": "ann2@corp.test"},
            {
                "op": "Add",
                "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
                "value": "Sales",
            },
        ],
    }


def test_compact_patch_has_paths_only_for_value_paths():
    assert patch(Dialect.COMPACT, VALUES, present={"userName", DEPARTMENT}) == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [
            {"op": "add", "path": 'emails[type eq "work"].value', "value": "ann2@corp.test"},
            {
                "op": "replace",
                "value": {
                    "userName": "ann2@corp.test",
                    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": (
                        "Sales"
                    ),
                },
            },
        ],
    }


def test_active_is_string_in_verbose_and_boolean_in_compact():
    verbose = patch(Dialect.VERBOSE, {"active": False}, present={"active"})
    compact = patch(Dialect.COMPACT, {"active": False}, present={"active"})

    assert verbose["Operations"] == [{"op": "Replace", "path": "active", "value": "False"}]
    assert compact["Operations"] == [{"op": "replace", "value": {"active": False}}]


def test_member_removal_uses_value_if_verbose_and_path_if_compact():
    bodies = [
        membership(dialect, "u1", joins=joins)["Operations"]
        for dialect in (Dialect.VERBOSE, Dialect.COMPACT)
        for joins in (True, False)
    ]
    named = [{"$ref": None, "value": "u1"}]
    assert bodies == [
        [{"op": "Add", "path": "members", "value": named}],
        [{"op": "Remove", "path": "members", "value": named}],
        [{"op": "add", "path": "members", "value": [{"value": "u1"}]}],
        [{"op": "remove", "path": 'members[value eq "u1"]'}],
    ]


def test_group_creation_has_name_and_no_members():
    assert group_post_body(Group("Team", "g-1")) == {
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:Group",
            "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group",
        ],
        "externalId": "g-1",
        "displayName": "Team",
        "meta": {"resourceType": "Group"},
    }


def test_mixed_dialect_alternates():
    assert [dialect_for(Dialect.MIXED, number) for number in range(3)] == [
        Dialect.VERBOSE,
        Dialect.COMPACT,
        Dialect.VERBOSE,
    ]


def test_creation_has_every_wanted_value():
    assert returned_values(post_body(ANN)) == expected_values(ANN)
    assert differences(ANN, post_body(ANN)) == {}


def test_differences_are_case_sensitive():
    resource = {**post_body(ANN), "userName": "ANN@corp.test"}

    assert differences(ANN, resource) == {"userName": "ann@corp.test"}


def test_empty_attributes_are_never_sent():
    resource = {**post_body(ANN), "title": "Engineer"}

    assert differences(ANN, resource) == {}
