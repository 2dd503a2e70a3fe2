"""The rules of groups, without a database."""

import pytest

from chassis.errors import InvalidField
from tests.support.error_forms import refusing
from usersvc.domain import groups
from usersvc.domain.errors import UNKNOWN_FIELD
from usersvc.domain.groups import GroupProfile

OLD = GroupProfile("Team", "team-1")
NEW = GroupProfile("Crew", "")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ([], OLD),
        (["display_name"], GroupProfile("Crew", "team-1")),
        (["external_id"], GroupProfile("Team", "")),
        (["external_id", "display_name", "external_id"], NEW),
        (["*"], NEW),
        (["display_name", "*"], NEW),
    ],
)
def test_a_mask_names_the_fields_that_change(mask, expected):
    assert groups.apply(OLD, NEW, mask) == expected


@pytest.mark.parametrize("mask", [["members"], ["*", "nothing"], ["display_name", "profile"]])
def test_a_mask_that_names_something_else_is_refused(mask):
    with refusing(UNKNOWN_FIELD):
        groups.apply(OLD, NEW, mask)


def test_a_profile_may_be_as_long_as_the_contract_says():
    groups.check(GroupProfile("é" * 512, "x" * 1024))


@pytest.mark.parametrize(
    "profile",
    [
        GroupProfile(""),
        GroupProfile("é" * 512 + "x"),
        GroupProfile("a\0b"),
        GroupProfile("a", "x" * 1025),
        GroupProfile("a", "\0"),
    ],
)
def test_a_profile_that_breaks_a_rule_is_refused(profile):
    with pytest.raises(InvalidField):
        groups.check(profile)


def test_a_request_names_at_most_100000_members():
    groups.check_count("member_ids", 100_000)
    with pytest.raises(InvalidField):
        groups.check_count("member_ids", 100_001)
