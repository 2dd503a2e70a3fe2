import pytest

from tools.entra.client import base_url, encoded_filter


def test_a_filter_is_form_encoded_with_its_quotes_left_as_they_are():
    assert encoded_filter("userName", "ann@corp.test") == 'userName+eq+"ann%40corp.test"'


def test_a_plus_sign_and_an_apostrophe_survive_the_encoding():
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
def test_the_flag_and_the_slash_at_the_end_of_a_tenant_url_are_not_sent(url):
    assert base_url(url) == "https://host.test/scim"
