"""Update masks of users, and the rules of a profile."""

import pytest

from chassis.errors import InvalidField
from tests.support.refusals import raises_refusal
from usersvc.domain.errors import UNKNOWN_FIELD
from usersvc.domain.users import (
    MASK_PATHS,
    Address,
    EnterpriseUser,
    Name,
    Profile,
    TypedValue,
    apply,
    check,
    parse_etag,
)

OLD = Profile(
    user_name="old",
    active=False,
    title="Engineer",
    name=Name(given_name="Ann", family_name="Lee"),
    emails=(TypedValue("a"),),
    enterprise=EnterpriseUser(department="Rockets", manager="boss"),
)
NEW = Profile(
    user_name="new",
    nick_name="N",
    name=Name(given_name="Bo"),
    emails=(TypedValue("b"), TypedValue("c")),
    enterprise=EnterpriseUser(division="Space", manager="chief"),
)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ((), OLD),
        (("*",), NEW),
        (("title", "*"), NEW),
        (
            ("user_name", "nick_name"),
            Profile(
                user_name="new",
                active=False,
                title="Engineer",
                nick_name="N",
                name=OLD.name,
                emails=OLD.emails,
                enterprise=OLD.enterprise,
            ),
        ),
    ],
)
def test_update_mask_changes_the_fields_that_it_names(mask, expected):
    assert apply(OLD, NEW, mask) == expected


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("active", "active", None),
        ("title", "title", ""),
        ("emails", "emails", NEW.emails),
        ("name", "name", NEW.name),
        ("name.given_name", "name", Name(given_name="Bo", family_name="Lee")),
        ("name.family_name", "name", Name(given_name="Ann")),
        ("enterprise", "enterprise", NEW.enterprise),
        ("enterprise.department", "enterprise", EnterpriseUser(manager="boss")),
        ("enterprise.manager", "enterprise", EnterpriseUser(department="Rockets", manager="chief")),
        (
            "enterprise.manager.value",
            "enterprise",
            EnterpriseUser(department="Rockets", manager="chief"),
        ),
    ],
)
def test_mask_path_changes_one_field(path, field, value):
    changed = apply(OLD, NEW, [path])
    different = {name for name in Profile.__slots__ if getattr(changed, name) != getattr(OLD, name)}
    assert (getattr(changed, field), different) == (value, {field})


@pytest.mark.parametrize("path", sorted(MASK_PATHS))
def test_mask_path_applied_twice_gives_the_same_profile(path):
    once = apply(OLD, NEW, [path])
    assert apply(once, NEW, [path]) == once


@pytest.mark.parametrize("path", ["id", "name.", "emails.value", "manager.value", "Title", "value"])
def test_unknown_mask_path_is_refused_even_beside_an_asterisk(path):
    with raises_refusal(UNKNOWN_FIELD) as caught:
        apply(OLD, NEW, ["*", path])
    assert caught.value.metadata == {"field": path}


def test_valid_profile_is_accepted():
    check(OLD)
    check(NEW)


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        (Profile(), "user_name"),
        (Profile("n" * 1025), "user_name"),
        (Profile("é" * 513), "user_name"),
        (Profile("a", locale="\0"), "locale"),
        (Profile("a", name=Name(formatted="x" * 8193)), "name.formatted"),
        (Profile("a", emails=(TypedValue("x" * 1025),)), "emails.value"),
        (Profile("a", roles=(TypedValue(display="x" * 8193),)), "roles.display"),
        (Profile("a", photos=(TypedValue("p", primary=True),) * 2), "photos"),
        (Profile("a", addresses=(Address(country="\0"),)), "addresses.country"),
        (Profile("a", addresses=(Address(),) * 1001), "addresses"),
    ],
)
def test_invalid_profile_is_refused_with_the_field(profile, field):
    with pytest.raises(InvalidField) as caught:
        check(profile)
    assert [violation.field for violation in caught.value.violations] == [field]


def test_elements_with_primary_false_do_not_count_as_primary():
    check(Profile("a", emails=(TypedValue("x", primary=False), TypedValue("y", primary=True))))


@pytest.mark.parametrize(
    ("etag", "version"),
    [
        ("1", 1),
        ("77", 77),
        ("", -1),
        ("x", -1),
        ("-1", -1),
        ("\u0661", -1),
        ("²", -1),
        ("9" * 19, -1),
    ],
)
def test_etag_is_parsed_as_a_version_or_matches_none(etag, version):
    assert parse_etag(etag) == version
