"""The rules of groups, without a database."""

import pytest

from chassis.errors import InvalidField
from tests.support.refusals import raises_refusal
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
def test_update_mask_changes_the_fields_that_it_names(mask, expected):
    assert groups.apply(OLD, NEW, mask) == expected


@pytest.mark.parametrize("mask", [["members"], ["*", "nothing"], ["display_name", "profile"]])
def test_update_mask_with_an_unknown_field_is_refused(mask):
    with raises_refusal(UNKNOWN_FIELD):
        groups.apply(OLD, NEW, mask)


def test_group_profile_at_its_length_limits_is_accepted():
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
def test_invalid_group_profile_is_refused(profile):
    with pytest.raises(InvalidField):
        groups.check(profile)


def test_request_with_over_100000_members_is_refused():
    groups.check_count("member_ids", 100_000)
    with pytest.raises(InvalidField):
        groups.check_count("member_ids", 100_001)
