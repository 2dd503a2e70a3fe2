"""By what an erased person is recognized."""

import pytest

from usersvc.domain.erasure import former_names


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
def test_addresses_of_a_logged_value_are_its_words_around_an_at_sign(value: str, names: set[str]):
    assert former_names([value]) == names
