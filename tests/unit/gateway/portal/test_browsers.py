"""Which forms and cookies are ours."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.portal.views.sign_in import local_path
from gateway.web.cookies import Cookies
from gateway.web.csrf import FormTokens, is_same_origin

FORMS = FormTokens(b"x" * 32)


def set_cookie(portal_url: str) -> str:
    response = web.Response()
    Cookies.of(portal_url, "us").set_session(response, "t")
    (session,) = [each for name, each in response.cookies.items() if "session" in name]
    return session.OutputString()


def test_over_https_the_session_is_a_secure_cookie_that_nobody_else_can_set():
    cookie = set_cookie("https://cloudacademy.com/webhooks/ad/v1/scim")
    assert cookie == "__Host-session=t; HttpOnly; Path=/; SameSite=Lax; Secure"


def test_over_http_on_loopback_each_region_has_a_cookie_of_its_own():
    # Cookies know no ports, and not every browser takes Secure ones there.
    assert set_cookie("http://127.0.0.1:8080/x") == "session-us=t; HttpOnly; Path=/; SameSite=Lax"


def test_the_session_is_read_from_its_own_cookie_alone():
    request = make_mocked_request("GET", "/", headers={"Cookie": "session-us=a; session=b"})
    assert Cookies.of("http://127.0.0.1:1/", "us").session(request) == "a"
    assert Cookies.of("http://127.0.0.1:1/", "eu").session(request) == ""
    assert Cookies.of("https://x.test/", "us").session(request) == ""


def test_a_forms_token_is_for_one_session_one_purpose_and_one_secret():
    token = FORMS.create("session", "a")
    assert FORMS.verify(token, "session", "a")
    assert not FORMS.verify(token, "session", "b")
    assert not FORMS.verify(token, "another", "a")
    assert not FormTokens(b"y" * 32).verify(token, "session", "a")
    assert not FORMS.verify(FORMS.create("", "a"), "", "a")  # bound to nothing
    assert not FORMS.verify("ü", "session", "a")


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({}, True),
        ({"Origin": "https://a.test"}, True),
        ({"Origin": "https://b.test"}, False),
        ({"Origin": "https://a.test:444"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://a.test"}, False),
    ],
)
def test_a_browser_tells_where_a_form_was(headers: dict[str, str], ours: bool):
    assert is_same_origin(headers, "a.test") is ours


@pytest.mark.parametrize(
    "target", ["//evil.test", "https://evil.test", "/\\evil.test", "/a\r\nb", "", "javascript:x"]
)
def test_the_way_on_from_the_sign_in_stays_here(target: str):
    assert local_path(target) == ""
