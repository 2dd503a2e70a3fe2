"""The labels of HTTP requests are words of ours, whatever is asked for."""

import pytest

from gateway.app import PREFIX
from gateway.measurement import route


@pytest.mark.parametrize(
    ("path", "label"),
    [
        (f"{PREFIX}/Users", "/Users"),
        (f"{PREFIX}/Users/", "/Users"),
        (f"{PREFIX}/Users/0190a5b4-4c7e-7d3a-9a53-2f6d1c0b8e11", "/Users/{id}"),
        (f"{PREFIX}/Groups/.search", "/Groups/.search"),
        (f"{PREFIX}/Bulk", "/Bulk"),
        (PREFIX, "/"),
        ("/readyz", "/readyz"),
        ("/login/enterprise/", "/login/enterprise/"),
        ("/labs/social/complete/saml/", "/labs/social/complete/saml/"),
        ("/labs/social/complete/saml/x", "other"),
        (f"{PREFIX}/ann@corp.test", "other"),
        (f"{PREFIX}/Users/a/b", "other"),
        ("/wp-login.php", "other"),
    ],
)
def test_a_path_counts_under_its_template(path: str, label: str):
    assert route(path, PREFIX) == label
