"""Structural checks of a response before its signature is verified."""

import base64
import time
from datetime import UTC, datetime

import pytest

from gateway.sso.assertion import verify
from gateway.sso.refusals import SignInError
from gateway.sso.response_structure import MAX_RESPONSE_CHARACTERS
from tests.support.saml.idp import NAMES, encoded, signed, xml
from tests.support.saml.parties import (
    ACME,
    IDP,
    REQUEST_ID,
    US,
    VALID,
    refusal_reason,
    verify_response,
)

TEXT = xml(signed(VALID, ACME)).decode()
BOMB = (
    '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">'
        for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)


def refusal_of_form_value(form_value: str) -> str:
    with pytest.raises(SignInError) as refused:
        verify(US, IDP, form_value, REQUEST_ID, datetime.now(UTC))
    return refused.value.reason


@pytest.mark.parametrize("value", ["!!", "PHg+", "", "PHg+\u00e9", "PD94", "%3C", "PHg-_w"])
def test_form_value_that_is_not_an_encoded_document_is_refused(value):
    assert refusal_of_form_value(value) in ("bad_base64", "bad_xml")


def test_base64_in_lines_is_accepted():
    lines = base64.encodebytes(TEXT.encode()).decode()
    found = verify(US, IDP, lines, REQUEST_ID, datetime.now(UTC))
    assert found.email == "ann@acme.test"


def test_response_over_the_limit_is_refused_before_decoding():
    assert refusal_of_form_value("A" * (MAX_RESPONSE_CHARACTERS + 1)) == "too_large"


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE r>",
        '<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE r [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>',
        '<!DOCTYPE r [<!ATTLIST r ID ID "x">]>',
        BOMB,
    ],
)
def test_document_type_is_refused_whatever_it_declares(doctype):
    started = time.process_time()
    text = doctype + TEXT.replace("ann@acme.test", "&j;" if doctype is BOMB else "&x;")
    assert refusal_reason(text) == "bad_structure"
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-7", "cp037"])
def test_encoding_other_than_utf8_is_refused(encoding):
    if encoding != "utf-7":  # UTF-7 of this text is the same as ASCII
        assert refusal_reason(TEXT.encode(encoding)) == "bad_xml"
    declared = f'<?xml version="1.0" encoding="{encoding}"?>{TEXT}'
    assert refusal_reason(declared.encode(encoding)) == "bad_xml"
    assert refusal_reason(declared) == "bad_xml"


@pytest.mark.parametrize(
    "start",
    [
        "",
        '<?xml version="1.0"?>',
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        "<?xml version='1.0' encoding='utf-8' standalone='no' ?>\r\n",
        '\ufeff<?xml version="1.0" encoding="utf-8"?>',
    ],
)
def test_common_xml_declarations_are_accepted(start):
    assert verify_response(start + TEXT).email == "ann@acme.test"


@pytest.mark.parametrize(
    "text",
    [
        "<a",
        "no XML",
        TEXT[:-20],
        TEXT + TEXT,
        TEXT.replace("ann@acme.test", "\x00"),
        TEXT.replace("ann@acme.test", "&undeclared;"),
        "<a>" * 300 + "</a>" * 300,
        "<html/>" + TEXT,
    ],
)
def test_document_that_is_not_well_formed_is_refused(text):
    assert refusal_reason(text) in ("bad_xml", "bad_structure")


@pytest.mark.parametrize(
    "inner",
    [
        "<a/>" * 2_001,
        "<a>" * 33 + "</a>" * 33,
        "<a " + " ".join(f'b{i}="1"' for i in range(40)) + "/>",
        "<a " + " ".join(f'xmlns:b{i}="urn:{i}"' for i in range(40)) + "/>",
        "<a xmlns:x='urn:x' x:Id='_1'/><b id='_1'/>",
        "<a><!-- a comment --></a>",
        "<?target?>",
    ],
)
def test_document_over_the_structural_limits_is_refused(inner):
    text = TEXT.replace(
        "<samlp:Status>", f"<samlp:Extensions>{inner}</samlp:Extensions><samlp:Status>"
    )
    assert text != TEXT
    assert refusal_reason(text) == "bad_structure"


def test_comment_outside_the_root_element_is_refused():
    assert refusal_reason(f"<!-- a -->{TEXT}") == "bad_structure"
    assert refusal_reason(f"{TEXT}<!-- a -->") == "bad_structure"


def test_encrypted_assertion_is_refused_as_encrypted():
    root = signed(VALID, ACME)
    assertion = root.find("saml:Assertion", NAMES)
    assertion.tag = "{urn:oasis:names:tc:SAML:2.0:assertion}EncryptedAssertion"
    assert refusal_reason(root) == "encrypted"


def test_largest_response_is_verified_in_bounded_cpu_time():
    padding = (
        "<a xmlns='urn:x'>" + "x" * (MAX_RESPONSE_CHARACTERS * 3 // 4 - len(TEXT) - 200) + "</a>"
    )
    text = TEXT.replace(
        "<samlp:Status>", f"<samlp:Extensions>{padding}</samlp:Extensions><samlp:Status>"
    )
    assert len(encoded(text)) <= MAX_RESPONSE_CHARACTERS
    started = time.process_time()
    assert verify_response(text).email == "ann@acme.test"
    assert time.process_time() - started < 1


@pytest.mark.parametrize("name", ["xmlanmss:lp", "foo:ID", "xsi:Id"])
def test_attribute_with_an_undeclared_prefix_is_refused(name: str):
    text = TEXT.replace("<samlp:Response ", f'<samlp:Response {name}="a" ', 1)
    assert name in text
    assert refusal_reason(text) == "bad_xml"
