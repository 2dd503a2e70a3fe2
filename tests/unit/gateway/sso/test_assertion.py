"""Verification of the content of a SAML response."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree

from gateway.sso.assertion import Assertion, verify
from gateway.sso.refusals import SignInError
from tests.support.saml.idp import (
    EMAIL_ADDRESS,
    NAMES,
    SAML,
    ann_claims,
    changed,
    encoded,
    reparsed,
    response,
    sign,
    signed,
)
from tests.support.saml.parties import (
    ACME,
    EU,
    IDP,
    NEXT,
    REQUEST_ID,
    US,
    VALID,
    refusal_reason,
    verify_response,
)


def test_verify_valid_response_returns_its_claims():
    found = verify_response(signed(VALID, ACME))
    assert found == Assertion(
        id=VALID.assertion_id,
        expire_time=found.expire_time,
        object_identifier="5b6f0f3e-0f6b-4b0e-9c0e-0a4f8a1d2c11",
        email="ann@acme.test",
        given_name="Ann",
        family_name="Li",
    )
    assert timedelta(minutes=59) < found.expire_time - datetime.now(UTC) < timedelta(minutes=62)


def test_verify_accepts_each_configured_certificate():
    with_both = replace(IDP, certificates=(ACME.certificate, NEXT.certificate))
    assert {verify_response(signed(VALID, pair), with_both).email for pair in (ACME, NEXT)} == {
        "ann@acme.test"
    }
    assert refusal_reason(signed(VALID, NEXT)) == "bad_signature"


def test_verify_accepts_signature_over_response_and_assertion():
    assert verify_response(sign(signed(VALID, ACME), ACME)).email == "ann@acme.test"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (VALID.with_changes(audience="urn:federation:other"), "wrong_audience"),
        (VALID.with_changes(audience=None), "wrong_audience"),
        (VALID.with_changes(audience="urn:federation:cloudacademy2"), "wrong_audience"),
        (VALID.with_changes(recipient="https://evil.test/"), "wrong_recipient"),
        (VALID.with_changes(recipient=US.acs_url + "x"), "wrong_recipient"),
        (VALID.with_changes(recipient=""), "wrong_recipient"),
        (VALID.with_changes(destination="https://evil.test/"), "wrong_recipient"),
        (VALID.with_changes(destination=US.acs_url + "x"), "wrong_recipient"),
        (VALID.with_changes(destination=""), "wrong_recipient"),
        (VALID.with_changes(issuer="https://idp.evil.test/"), "wrong_issuer"),
        (VALID.with_changes(issuer=IDP.entity_id + "x"), "wrong_issuer"),
        (VALID.with_changes(request_id="ONELOGIN_2"), "wrong_request"),
        (VALID.with_changes(request_id=None), "wrong_request"),
        (VALID.with_changes(confirmation_request_id="ONELOGIN_2"), "wrong_request"),
        (VALID.with_changes(status="urn:oasis:names:tc:SAML:2.0:status:Responder"), "status"),
        (VALID.with_changes(not_on_or_after=-62), "expired"),
        (VALID.with_changes(confirmation_end=-1), "expired"),
        (VALID.with_changes(not_before=63), "not_yet_valid"),
        (VALID.with_changes(claims=ann_claims(object_identifier=None)), "missing_claim"),
        (VALID.with_changes(claims=ann_claims(object_identifier=[])), "missing_claim"),
        (VALID.with_changes(claims=ann_claims(object_identifier=[" "])), "missing_claim"),
        (VALID.with_changes(claims=ann_claims(email=None)), "missing_claim"),
        (VALID.with_changes(claims={}), "bad_structure"),
        (
            VALID.with_changes(claims=ann_claims(email=["ann@acme.test", "eve@acme.test"])),
            "bad_claim",
        ),
        (VALID.with_changes(claims=ann_claims(email=["ann"])), "bad_claim"),
        (VALID.with_changes(claims=ann_claims(email=["a" * 320 + "@acme.test"])), "bad_claim"),
    ],
)
def test_signed_response_with_wrong_content_is_refused(statement, expected):
    root = response(statement)
    if statement.status == VALID.status:
        root = signed(statement, ACME)
    assert refusal_reason(root) == expected


def test_clock_skew_of_a_minute_is_allowed():
    assert verify_response(signed(VALID.with_changes(not_before=57), ACME)).email == "ann@acme.test"
    assert (
        verify_response(signed(VALID.with_changes(not_on_or_after=-57), ACME)).email
        == "ann@acme.test"
    )


def test_missing_name_claims_are_accepted_and_reported():
    found = verify_response(
        signed(VALID.with_changes(claims=ann_claims(surname=None, given_name=[])), ACME)
    )
    assert (found.given_name, found.family_name, found.missing) == (
        "",
        "",
        ("givenname", "surname"),
    )


def with_attributes(*attributes):
    """A signed response with these additional attributes, each in an element of its own."""
    root = response(VALID)
    statement = root.find("saml:Assertion/saml:AttributeStatement", NAMES)
    for name, value in attributes:
        attribute = etree.SubElement(statement, f"{{{SAML}}}Attribute", Name=name)
        etree.SubElement(attribute, f"{{{SAML}}}AttributeValue").text = value
    sign(root.find("saml:Assertion", NAMES), ACME)
    return reparsed(root)


def test_other_attribute_that_is_given_twice_is_ignored():
    found = verify_response(with_attributes(("Role", "offline_access"), ("Role", "uma")))
    assert found.email == "ann@acme.test"


@pytest.mark.parametrize("value", ["ann@acme.test", "eve@acme.test"])
def test_claim_that_is_given_twice_is_refused(value):
    assert refusal_reason(with_attributes((EMAIL_ADDRESS, value))) == "bad_claim"


def test_response_for_the_other_region_is_refused():
    for_eu = signed(VALID.with_changes(acs_url=EU.acs_url), ACME)
    assert refusal_reason(for_eu) == "wrong_recipient"
    now = datetime.now(UTC)
    assert verify(EU, IDP, encoded(for_eu), REQUEST_ID, now).email == "ann@acme.test"


def test_response_of_another_organizations_provider_is_refused():
    other = replace(IDP, entity_id="https://idp.other.test/", certificates=(NEXT.certificate,))
    of_other = signed(VALID.with_changes(issuer=other.entity_id), NEXT)
    assert verify_response(of_other, other).email == "ann@acme.test"
    assert refusal_reason(of_other) == "wrong_issuer"
    assert refusal_reason(signed(VALID, NEXT)) == "bad_signature"


@pytest.mark.parametrize("name", ["Conditions", "Subject", "AuthnStatement", "Issuer"])
def test_assertion_without_a_required_element_is_refused(name):
    def without(root):
        assertion = root.find("{*}Assertion")
        assertion.remove(assertion.find(f"{{*}}{name}"))

    root = changed(response(VALID), without)
    sign(root.find("{*}Assertion"), ACME)
    assert refusal_reason(root) in ("bad_assertion", "bad_structure")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.set("NotBefore", "2020-01-01T00:00:00Z"),
        lambda data: data.attrib.pop("NotOnOrAfter"),
        lambda data: data.set("NotOnOrAfter", "tomorrow"),
        lambda data: data.set("NotOnOrAfter", "99999-01-01T00:00:00Z"),
        lambda data: data.getparent().set("Method", "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"),
        lambda data: data.getparent().remove(data),
    ],
)
def test_confirmation_other_than_a_current_bearer_is_refused(change):
    root = response(VALID)
    change(root.find(".//{*}SubjectConfirmationData"))
    sign(root.find("{*}Assertion"), ACME)
    assert refusal_reason(root) == "bad_assertion"


def test_refusal_contains_nothing_of_the_response():
    with pytest.raises(SignInError) as refused:
        verify_response(signed(VALID.with_changes(issuer="https://secret.test/"), ACME))
    assert "secret" not in str(refused.value)
    assert "ann" not in repr(refused.value.explanation).lower().replace("annot", "")
