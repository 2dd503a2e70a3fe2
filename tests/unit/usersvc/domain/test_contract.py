"""The lists of names in the code agree with the protobuf contract and the migrations."""

import re
from pathlib import Path

import asyncpg
import pytest
from cloudacademy.users.v1 import filter_pb2, users_pb2

from chassis.database.constraints import violations_as_refusals
from usersvc.domain import users
from usersvc.domain.filters import Operator
from usersvc.store.groups.store import CONSTRAINTS as GROUP_CONSTRAINTS
from usersvc.store.listing.user_fields import USERS
from usersvc.store.users.writes import CONSTRAINTS as USER_CONSTRAINTS

DESCRIPTOR = users_pb2.User.DESCRIPTOR
# Each organization defines the fields of these messages.
EXTENSIBLE = {"extensions"}
GROUP_FIELDS = {"groups", "more_groups"}
OUTPUT_ONLY = {"id", "organization_id", "etag", "create_time", "update_time", *GROUP_FIELDS}
MIGRATIONS = Path(users.__file__).parents[1] / "store" / "migrations"


def leaves(descriptor, prefix: str = "") -> set[str]:
    """The paths of all fields that hold a value and no other message."""
    found = set()
    for field in descriptor.fields:
        path = prefix + field.name
        if path in EXTENSIBLE:
            continue
        if field.message_type is None or field.message_type.name == "Timestamp":
            found.add(path)
        else:
            found |= leaves(field.message_type, f"{path}.")
    return found


def test_every_field_of_a_user_can_be_filtered():
    scope = USERS.scope
    known = set(scope.fields) | {
        f"{outer}.{inner}"
        for outer, repeated in scope.repeated.items()
        for inner in repeated.fields
    }
    groups = {path for path in leaves(DESCRIPTOR) if path.split(".")[0] in GROUP_FIELDS}
    assert known == leaves(DESCRIPTOR) - groups - {"organization_id", "etag"} | {"groups.value"}


def test_every_composite_field_can_be_tested_for_presence():
    messages = {
        field.name
        for field in DESCRIPTOR.fields
        if field.message_type and field.message_type.name != "Timestamp" and not field.is_repeated
    }
    assert set(USERS.scope.composite) == messages | {"enterprise.manager"}


def test_every_field_that_is_not_output_only_can_be_in_a_mask():
    repeated = {field.name for field in DESCRIPTOR.fields if field.is_repeated}
    paths = {field.name for field in DESCRIPTOR.fields} | {
        path for path in leaves(DESCRIPTOR) if path.partition(".")[0] not in repeated
    }
    paths |= {"enterprise.manager", "*"}
    assert paths - OUTPUT_ONLY - EXTENSIBLE == users.MASK_PATHS - EXTENSIBLE


def test_every_operator_of_the_contract_is_known():
    names = {name.removeprefix("OPERATOR_") for name in filter_pb2.Operator.keys()}  # noqa: SIM118
    assert names == {"UNSPECIFIED", *Operator.__members__}


def test_every_constraint_that_a_caller_can_violate_has_a_refusal():
    schema = "".join(path.read_text() for path in sorted(MIGRATIONS.glob("*.sql")))
    checks = re.findall(r"CONSTRAINT (\w+)\s+CHECK", schema)
    uniques = re.findall(r"CREATE UNIQUE INDEX (\w+)", schema)
    known = USER_CONSTRAINTS | GROUP_CONSTRAINTS
    assert [name for name in [*checks, *uniques] if name not in known] == [
        "changes_untimed_number",  # no caller chooses the number of a change
        "database_identity_is_only",  # only the migration inserts a row
        "refusals_report_key",  # a repeated report is accepted: ON CONFLICT DO NOTHING
    ]


@pytest.mark.parametrize("name", [None, "users_pkey", "users_user_name_not_null"])
def test_violation_of_another_constraint_is_an_internal_error(name):
    error = asyncpg.UniqueViolationError("broken")
    error.constraint_name = name
    with (
        pytest.raises(asyncpg.UniqueViolationError),
        violations_as_refusals(USER_CONSTRAINTS),
    ):
        raise error
