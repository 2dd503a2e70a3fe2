"""PATCH requests that need no read of the resource: assignments, and sets of member ids."""

import pytest

from gateway.scim import patch
from gateway.scim.patch import MemberChanges, Op, Operation
from gateway.scim.schema import ENTERPRISE_USER_URN, GROUP, USER, USER_URN
from tests.support.scim_errors import refused


def assigned(*operations):
    assignments = patch.assignments(USER, operations)
    if assignments is None:
        return None
    return {str(path): value for path, value in assignments.items()}


def replace(path, value):
    return Operation(Op.REPLACE, path, value)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (replace("userName", "bob"), {"userName": "bob"}),
        (Operation(Op.ADD, "active", "False"), {"active": False}),
        (replace("name.givenName", ""), {"name.givenName": None}),
        (Operation(Op.REMOVE, "title", "x"), {"title": None}),
        (
            replace(None, {"active": False, "name.givenName": "A", "nope": 1, "id": "x"}),
            {"active": False, "name.givenName": "A"},
        ),
        (replace("name", {"givenName": "A"}), {"name.givenName": "A"}),
        (
            replace(None, {ENTERPRISE_USER_URN: {"department": "R", "manager": "u2"}}),
            {
                f"{ENTERPRISE_USER_URN}:department": "R",
                f"{ENTERPRISE_USER_URN}:manager.value": "u2",
            },
        ),
        (replace("manager", ""), {f"{ENTERPRISE_USER_URN}:manager.value": None}),
        (replace("manager", [{"value": "u2"}]), {f"{ENTERPRISE_USER_URN}:manager.value": "u2"}),
        (replace(f"{USER_URN}:title", "x"), {"title": "x"}),
        (
            Operation(Op.REMOVE, "name"),
            dict.fromkeys(
                f"name.{part}"
                for part in (
                    "formatted",
                    "familyName",
                    "givenName",
                    "middleName",
                    "honorificPrefix",
                    "honorificSuffix",
                )
            ),
        ),
    ],
)
def test_operations_on_single_values_become_assignments(operation, expected):
    assert assigned(operation) == expected


def test_last_assignment_to_an_attribute_wins():
    assert assigned(replace("title", "a"), replace("TITLE", "b")) == {"title": "b"}


def test_patch_without_operations_has_no_assignments():
    assert assigned() == {}


@pytest.mark.parametrize(
    "operation",
    [
        replace("emails", []),
        replace('emails[type eq "work"].value', "w"),
        replace(None, {"title": "x", "emails": []}),
        Operation(Op.REMOVE, 'manager[value eq "u2"]'),
    ],
)
def test_operation_that_needs_the_resource_gives_no_assignments(operation):
    assert assigned(replace("title", "x"), operation) is None


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        (replace("userName", ""), "invalidValue"),
        (Operation(Op.REMOVE, "userName"), "mutability"),
        (replace("id", "x"), "mutability"),
        (replace("nope", "x"), "invalidPath"),
        (replace("active", "x"), "invalidValue"),
        (Operation(Op.REMOVE, None), "noTarget"),
    ],
)
def test_assignments_refuse_what_apply_refuses(operation, scim_type):
    with refused(400, scim_type):
        assigned(operation)
    with refused(400, scim_type):
        patch.apply(USER, {"userName": "ann"}, [operation])


def add(*ids):
    return Operation(Op.ADD, "members", [{"value": each} for each in ids])


def remove(*ids):
    return Operation(Op.REMOVE, "members", [{"$ref": None, "value": each} for each in ids])


EMPTY = Operation(Op.REMOVE, "members")


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([], MemberChanges()),
        ([add("a", "b", "a")], MemberChanges(add=("a", "b"))),
        ([remove("a", "b")], MemberChanges(remove=("a", "b"))),
        ([Operation(Op.ADD, "members", "a")], MemberChanges(add=("a",))),
        ([Operation(Op.ADD, "members", {"value": "a"})], MemberChanges(add=("a",))),
        ([Operation(Op.ADD, None, {"members": [{"value": "a"}]})], MemberChanges(add=("a",))),
        ([Operation(Op.REMOVE, 'members[value eq "a"]')], MemberChanges(remove=("a",))),
        (
            [Operation(Op.REMOVE, 'members[value eq "a" or value eq "b" or (value eq "c")]')],
            MemberChanges(remove=("a", "b", "c")),
        ),
        ([EMPTY], MemberChanges(replace=True)),
        ([Operation(Op.REMOVE, "members", [])], MemberChanges()),
        ([Operation(Op.REPLACE, "members", [])], MemberChanges(replace=True)),
        ([Operation(Op.REPLACE, "members", None)], MemberChanges(replace=True)),
        ([Operation(Op.ADD, "members", None)], MemberChanges()),
        (
            [Operation(Op.REPLACE, "members", [{"value": "a"}])],
            MemberChanges(replace=True, add=("a",)),
        ),
        ([add("a"), remove("a")], MemberChanges(remove=("a",))),
        ([remove("a"), add("a")], MemberChanges(add=("a",))),
        ([add("a"), EMPTY, add("b", "c"), remove("c")], MemberChanges(replace=True, add=("b",))),
        (
            [
                add("a"),
                replace("displayName", "T"),
                Operation(Op.REMOVE, "externalId"),
            ],
            MemberChanges(
                add=("a",),
                assignments={GROUP.find("displayName"): "T", GROUP.find("externalId"): None},
            ),
        ),
    ],
)
def test_member_operations_become_sets_of_ids(operations, expected):
    assert patch.member_changes(GROUP, operations) == expected


@pytest.mark.parametrize(
    "operation",
    [
        Operation(Op.REMOVE, 'members[type eq "Group"]'),
        Operation(Op.REMOVE, 'members[value eq "a" and type eq "Group"]'),
        Operation(Op.REMOVE, 'members[value ne "a"]'),
        Operation(Op.REMOVE, 'members[value eq "a" or type eq "Group"]'),
        Operation(Op.REPLACE, 'members[value eq "a"]', {"value": "b"}),
        Operation(Op.REMOVE, 'members[value eq "a"].type'),
        Operation(Op.ADD, "members.value", "a"),
    ],
)
def test_operation_that_needs_the_group_gives_no_member_changes(operation):
    assert patch.member_changes(GROUP, [add("a"), operation]) is None


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        (Operation(Op.ADD, "members", [{"$ref": None, "type": "User"}]), "invalidValue"),
        (Operation(Op.ADD, "members", [5]), "invalidValue"),
        (Operation(Op.ADD, 'members[value eq "a"]'), "invalidValue"),
        (Operation(Op.ADD, "members[value eq 'a']", "a"), "invalidFilter"),
        (Operation(Op.REMOVE, "members", [{"type": "User"}]), "invalidValue"),
        *(
            (Operation(op, "members", value), "invalidValue")
            for op in Op
            for value in ({}, [{}], [None], "", [""], [{"value": ""}], [{"value": "b"}, {}])
        ),
        (Operation(Op.REMOVE, "displayName"), "mutability"),
        (replace("displayName", ""), "invalidValue"),
        (replace("id", "x"), "mutability"),
    ],
)
def test_member_changes_refuse_what_apply_refuses(operation, scim_type):
    with refused(400, scim_type):
        patch.member_changes(GROUP, [add("a"), operation])
    group = {"displayName": "T", "members": [{"value": "a"}]}
    with refused(400, scim_type):
        patch.apply(GROUP, group, [operation])


def test_adding_more_members_than_a_group_can_have_is_refused():
    halves = [str(i) for i in range(60_000)], [str(i) for i in range(60_000, 120_000)]
    with refused(400, "invalidValue", "100000"):
        patch.member_changes(GROUP, [add(*halves[0]), add(*halves[1])])
