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
def test_a_header_lists_versions(header, etags):
    assert wanted_etags(header) == etags


@pytest.mark.parametrize(
    "header", ["1", "W/1", '""', 'W/""', '"\udce9"', '"1', '"1" "2"', '"1",', "x" * 2_000, ""]
)
def test_what_is_no_list_of_versions_is_refused(header):
    with pytest.raises(ScimError) as refused:
        wanted_etags(header)

    assert (refused.value.status, refused.value.scim_type) == (400, "invalidValue")


@pytest.mark.parametrize(
    ("header", "known"),
    [(None, False), ("*", True), ('W/"1"', True), ('"2", "1"', True), ('W/"2"', False)],
)
def test_a_client_knows_the_version_that_it_names(header, known):
    assert client_has(header, "1") is known
