"""If-Match and If-None-Match."""

import pytest

from gateway.api.preconditions import client_has, wanted_etags
from gateway.scim.errors import ScimError


@pytest.mark.parametrize(
    ("header", "etags"),
    [
        (None, None),
        ("*", None),
        ('W/"1"', ("1",)),
        ('"1"', ("1",)),
        ('W/"1", "2" ,W/"3"', ("1", "2", "3")),
    ],
)
def test_precondition_header_is_a_list_of_etags(header, etags):
    assert wanted_etags(header) == etags


@pytest.mark.parametrize(
    "header", ["1", "W/1", '""', 'W/""', '"\udce9"', '"1', '"1" "2"', '"1",', "x" * 2_000, ""]
)
def test_precondition_that_is_not_a_list_of_etags_gets_400(header):
    with pytest.raises(ScimError) as refused:
        wanted_etags(header)

    assert (refused.value.status, refused.value.scim_type) == (400, "invalidValue")


@pytest.mark.parametrize(
    ("header", "known"),
    [(None, False), ("*", True), ('W/"1"', True), ('"2", "1"', True), ('W/"2"', False)],
)
def test_if_none_match_matches_the_versions_that_it_lists(header, known):
    assert client_has(header, "1") is known
