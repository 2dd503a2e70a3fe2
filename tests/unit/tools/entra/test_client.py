import pytest

from tools.entra.client import base_url, encoded_filter


def test_filter_is_form_encoded_with_literal_quotes():
    assert encoded_filter("userName", "ann@corp.test") == 'userName+eq+"ann%40corp.test"'


def test_filter_encoding_keeps_plus_sign_and_apostrophe():
    assert encoded_filter("userName", "o'b+x@a.test") == 'userName+eq+"o%27b%2Bx%40a.test"'


@pytest.mark.parametrize(
    "url",
    [
        "https://host.test/scim",
        "https://host.test/scim/",
        "https://host.test/scim?aadOptscim062020",
        "https://host.test/scim/?aadOptscim062020",
    ],
)
def test_base_url_drops_flag_and_trailing_slash(url):
    assert base_url(url) == "https://host.test/scim"
