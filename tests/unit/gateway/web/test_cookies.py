"""Session cookies, and reading cookies from a header."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.web.cookies import Cookies, cookie_value


def set_cookie(portal_url: str) -> str:
    response = web.Response()
    Cookies.of(portal_url, "us").set_session(response, "t")
    (session,) = [each for name, each in response.cookies.items() if "session" in name]
    return session.OutputString()


def test_session_cookie_has_host_prefix_over_https():
    cookie = set_cookie("https://cloudacademy.com/webhooks/ad/v1/scim")
    assert cookie == "__Host-session=t; HttpOnly; Path=/; SameSite=Lax; Secure"


def test_session_cookie_names_the_region_over_http():
    # Cookies ignore ports, and not every browser accepts Secure cookies over HTTP.
    assert set_cookie("http://127.0.0.1:8080/x") == "session-us=t; HttpOnly; Path=/; SameSite=Lax"


def test_sign_in_cookie_has_host_prefix_over_https():
    """Another host that could set it could end a sign-in of its own in this browser."""
    cookies = Cookies.of("https://cloudacademy.com/webhooks/ad/v1/scim", "us")
    response = web.Response()
    cookies.set_sign_in(response, "t", "/complete/", 600)
    (cookie,) = response.cookies.values()
    assert cookie.OutputString() == (
        "__Host-sign-in=t; HttpOnly; Max-Age=600; Path=/; SameSite=None; Secure"
    )
    sent = {"Cookie": "__Host-sign-in=t; __Secure-sign-in=of-another-host"}
    assert cookies.sign_in(make_mocked_request("POST", "/complete/", headers=sent)) == "t"


def test_session_is_read_from_the_cookie_of_its_region_only():
    request = make_mocked_request("GET", "/", headers={"Cookie": "session-us=a; session=b"})
    assert Cookies.of("http://127.0.0.1:1/", "us").session(request) == "a"
    assert Cookies.of("http://127.0.0.1:1/", "eu").session(request) == ""
    assert Cookies.of("https://x.test/", "us").session(request) == ""


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("session=a", "a"),
        ("other=b; session=a; third=c", "a"),
        ("xsession=b;session=a==;sessionx=c", "a=="),
        ("session=a; session=b", "b"),
        ("session", ""),
        ("other=session=a", ""),
        ("session=a; \u2000session=b; session\xa0=c; \x85session=d", "a"),
        ("", ""),
    ],
)
def test_cookie_value_is_found_by_its_exact_name(header: str, value: str):
    assert cookie_value({"Cookie": header}, "session") == value
