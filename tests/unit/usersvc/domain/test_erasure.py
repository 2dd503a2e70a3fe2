"""Recognition of an erased person in logged texts."""

import pytest

from usersvc.domain.erasure import former_names, is_named


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("ann@corp.test", {"ann@corp.test"}),
        ("Ann Li <ann@corp.test>", {"ann@corp.test"}),
        ('["ann@corp.test","b@corp.test"]', {"ann@corp.test", "b@corp.test"}),
        ("a@b@c @d e@ @", {"a@b@c"}),
        ("@@a a@@", {"@@a", "a@@"}),
        ("Ann Li", {"Ann Li"}),
        ("a @ b", {"a @ b"}),
    ],
)
def test_former_names_are_the_email_addresses_of_a_logged_value(value: str, names: set[str]):
    assert former_names([value]) == names


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("to STRAßE today", True),
        ("to STRA\u1e9eE today", True),
        (r'{"a":"STRA\u1e9eE"}', True),
        ("stra%C3%9Fe", True),
        ("to strasse today", False),
    ],
)
def test_name_is_found_in_any_case_but_no_other_spelling(text: str, named: bool):
    assert is_named(text, ["Straße"]) is named
