"""Forms as they are read: what fits, and what is none."""

import base64
import secrets
from urllib.parse import urlencode

import pytest

from gateway.web.cookies import cookie_value
from gateway.web.csrf import MAX_ESCAPES, MAX_FIELDS, MAX_FORM_BYTES, is_form, parse_form
from keysvc.domain.sso import CERTIFICATES_MAXIMUM, DOMAINS_MAXIMUM, ENTITY_ID_MAXIMUM, URL_MAXIMUM
from keysvc.rpc.certificates import MAXIMUM_CHARACTERS
from tests.support.growth import LIMIT, ratio


def largest_certificate() -> str:
    """As many characters as keysvc takes, in the lines of PEM that a browser sends."""
    text = base64.b64encode(secrets.token_bytes(MAXIMUM_CHARACTERS)).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\r\n".join(lines)[:MAXIMUM_CHARACTERS]


def test_the_largest_form_fits():
    """Of any character but those of certificates, three take the place of one."""
    fields = {
        "form_token": secrets.token_urlsafe(32),
        "sso_url": "%" * URL_MAXIMUM,
        "idp_entity_id": "%" * ENTITY_ID_MAXIMUM,
        "certificates": "\r\n".join(largest_certificate() for _ in range(CERTIFICATES_MAXIMUM)),
        "domains": ", ".join("a" * 253 for _ in range(DOMAINS_MAXIMUM)),
        "create_missing_users": "on",
        "etag": "1",
    }
    sent = urlencode(fields).encode()

    assert len(sent) < MAX_FORM_BYTES
    assert parse_form(sent) == fields


def test_the_first_of_a_name_counts_and_a_field_may_be_empty():
    assert parse_form(b"a=1&b=&a=2&c=%C3%A4+%FF") == {"a": "1", "b": "", "c": "ä \ufffd"}


@pytest.mark.parametrize("body", [b"a=\xff", b"&".join([b"a=1"] * (MAX_FIELDS + 1))])
def test_what_is_no_text_or_has_many_fields_is_no_form(body: bytes):
    with pytest.raises(ValueError, match=r"decode|fields"):
        parse_form(body)


def test_form_with_more_escapes_than_any_of_ours_is_refused():
    assert parse_form(b"a=" + b"%41" * MAX_ESCAPES) == {"a": "A" * MAX_ESCAPES}
    for pump in (b"%41", b"%", b"a%"):
        with pytest.raises(ValueError, match="escapes"):
            parse_form(b"a=" + pump * (MAX_ESCAPES + 1))


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
def test_form_is_known_by_its_media_type(content_type: str, expected: bool):
    assert is_form({"Content-Type": content_type}) is expected


def test_request_without_a_media_type_is_no_form():
    assert not is_form({})


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("session=a", "a"),
        ("other=b; session=a; third=c", "a"),
        ("xsession=b;session=a==;sessionx=c", "a=="),
        ("session=a; session=b", "b"),
        ("session", ""),
        ("other=session=a", ""),
        ("", ""),
    ],
)
def test_cookie_is_found_by_its_name(header: str, value: str):
    assert cookie_value({"Cookie": header}, "session") == value


@pytest.mark.parametrize("pump", ['"', ";", "; ", " ", "a=b;", "=", 'a="', "session=a;", "'\\"])
def test_reading_headers_of_a_form_grows_no_faster_than_they_do(pump: str):
    def read(text: str) -> None:
        is_form({"Content-Type": text})
        cookie_value({"Cookie": text}, "session")

    assert ratio(read, pump * 8_000, pump * 32_000) < LIMIT
