"""CSRF tokens, the origin check, and parsing of forms: limits, invalid input, linear time."""

import base64
import secrets
from urllib.parse import urlencode

import pytest

from gateway.signing.shared_secrets import SharedSecrets
from gateway.web.cookies import cookie_value
from gateway.web.csrf import (
    MAX_ESCAPES,
    MAX_FIELDS,
    MAX_FORM_BYTES,
    FormTokens,
    is_form,
    is_same_origin,
    parse_form,
)
from keysvc.domain.sso import CERTIFICATES_MAXIMUM, DOMAINS_MAXIMUM, ENTITY_ID_MAXIMUM, URL_MAXIMUM
from keysvc.rpc.certificates import MAXIMUM_CHARACTERS
from tests.support.growth import FACTOR, LIMIT, ratio

FORMS = FormTokens(SharedSecrets((b"x" * 32,)))


def largest_certificate() -> str:
    """The longest certificate that keysvc accepts, in PEM lines as a browser sends them."""
    text = base64.b64encode(secrets.token_bytes(MAXIMUM_CHARACTERS)).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\r\n".join(lines)[:MAXIMUM_CHARACTERS]


def test_form_token_is_bound_to_session_purpose_and_secret():
    token = FORMS.create("session", "a")
    assert FORMS.verify(token, "session", "a")
    assert not FORMS.verify(token, "session", "b")
    assert not FORMS.verify(token, "another", "a")
    assert not FormTokens(SharedSecrets((b"y" * 32,))).verify(token, "session", "a")
    assert not FORMS.verify(FORMS.create("", "a"), "", "a")  # without a binding
    assert not FORMS.verify("ü", "session", "a")


@pytest.mark.parametrize(
    ("headers", "expected"),
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
def test_origin_check_accepts_only_our_own_pages(headers: dict[str, str], expected: bool):
    assert is_same_origin(headers, "a.test") is expected


def test_largest_form_fits_the_limits():
    """All characters are escaped except those of the certificates."""
    fields = {
        "form_token": secrets.token_urlsafe(32),
        "sso_url": "%" * URL_MAXIMUM,
        "idp_entity_id": "%" * ENTITY_ID_MAXIMUM,
        "certificates": "\r\n".join(largest_certificate() for _ in range(CERTIFICATES_MAXIMUM)),
        "domains": ", ".join("a" * 253 for _ in range(DOMAINS_MAXIMUM)),
        "create_missing_users": "on",
        "etag": "1",
    }
    body = urlencode(fields).encode()

    assert len(body) < MAX_FORM_BYTES
    assert parse_form(body) == fields


def test_first_of_equal_fields_wins_and_fields_may_be_empty():
    assert parse_form(b"a=1&b=&a=2&c=%C3%A4+%FF") == {"a": "1", "b": "", "c": "ä \ufffd"}


@pytest.mark.parametrize("body", [b"a=\xff", b"&".join([b"a=1"] * (MAX_FIELDS + 1))])
def test_form_not_in_utf8_or_with_too_many_fields_is_refused(body: bytes):
    with pytest.raises(ValueError, match=r"decode|fields"):
        parse_form(body)


def test_form_with_too_many_escapes_is_refused():
    assert parse_form(b"a=" + b"%41" * MAX_ESCAPES) == {"a": "A" * MAX_ESCAPES}
    for repeated in (b"%41", b"%", b"a%"):
        with pytest.raises(ValueError, match="escapes"):
            parse_form(b"a=" + repeated * (MAX_ESCAPES + 1))


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/x-www-form-urlencoded", True),
        ("Application/X-WWW-Form-Urlencoded ; charset=UTF-8", True),
        ("application/json", False),
        ("application/x-www-form-urlencodedx", False),
        ("", False),
    ],
)
def test_form_is_recognized_by_its_media_type(content_type: str, expected: bool):
    assert is_form({"Content-Type": content_type}) is expected


def test_request_without_a_media_type_is_not_a_form():
    assert not is_form({})


@pytest.mark.parametrize("repeated", ['"', ";", "; ", " ", "a=b;", "=", 'a="', "session=a;", "'\\"])
def test_reading_form_headers_takes_linear_time(repeated: str):
    def read(text: str) -> None:
        is_form({"Content-Type": text})
        cookie_value({"Cookie": text}, "session")

    assert ratio(read, repeated * 4_000, repeated * 4_000 * FACTOR) < LIMIT
