"""Redirects after sign-in."""

import pytest

from gateway.portal.views.sign_in import local_path


@pytest.mark.parametrize(
    "target", ["//evil.test", "https://evil.test", "/\\evil.test", "/a\r\nb", "", "javascript:x"]
)
def test_redirect_target_on_another_site_is_dropped(target: str):
    assert local_path(target) == ""
