"""Attribute paths of PATCH operations, with and without a value filter."""

import pytest

from gateway.scim import filter as filters
from gateway.scim import path as paths
from gateway.scim.schema import ENTERPRISE_USER_URN, USER, USER_URN
from tests.support.scim_errors import refused


@pytest.mark.parametrize(
    ("text", "target", "value_filter"),
    [
        ("userName", "userName", None),
        ("NAME.givenname", "name.givenName", None),
        (f"{USER_URN}:roles", "roles", None),
        (f"{ENTERPRISE_USER_URN}:manager", f"{ENTERPRISE_USER_URN}:manager", None),
        (f"{ENTERPRISE_USER_URN}.manager", f"{ENTERPRISE_USER_URN}:manager", None),
        ('emails[type eq "work"]', "emails", 'emails.type eq "work"'),
        ('emails[type eq "work"].value', "emails.value", 'emails.type eq "work"'),
        ('Emails[Type EQ "wo]rk"].Value', "emails.value", 'emails.type eq "wo]rk"'),
        ('roles[primary eq "True"].value', "roles.value", "roles.primary eq true"),
        (f'{USER_URN}:emails[type eq "x"].value', "emails.value", 'emails.type eq "x"'),
        ('manager[value eq "u2"]', f"{ENTERPRISE_USER_URN}:manager", 'manager.value eq "u2"'),
    ],
)
def test_path_is_parsed_into_attribute_and_value_filter(text, target, value_filter):
    expected = paths.Path(USER.find(target), value_filter and filters.parse(USER, value_filter))
    assert paths.parse(USER, text) == expected


@pytest.mark.parametrize("text", ["nope", "name.nope", 'nope[type eq "x"]', "", "]", "[", "a b"])
def test_path_to_an_unknown_attribute_is_refused(text):
    with refused(400, "invalidPath", f'"{text}"'):
        paths.parse(USER, text)


@pytest.mark.parametrize(
    "text",
    [
        'emails[type eq "x"',
        'emails[nope eq "x"]',
        "emails[type]",
        "emails[]",
        'userName[value eq "x"]',
    ],
)
def test_error_inside_the_brackets_is_an_invalid_filter(text):
    with refused(400, "invalidFilter"):
        paths.parse(USER, text)


@pytest.mark.parametrize("suffix", ["]", ".nope", ".value.value", " pr", ".", '[type eq "x"]', "("])
def test_error_after_the_brackets_is_an_invalid_path(suffix):
    with refused(400, "invalidPath", "emails", "behind the brackets"):
        paths.parse(USER, f'emails[type eq "x"]{suffix}')
