"""What a response has to say, each part of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.sso.assertion import Assertion, verify
from gateway.sso.refusals import SignInError
from tests.support.saml.idp import ann, changed, encoded, response, sign, signed
from tests.support.saml.parties import ACME, EU, IDP, NEXT, REQUEST_ID, TRUE, US, judge, reason


def test_a_true_response_says_who_it_is():
    found = judge(signed(TRUE, ACME))
    assert found == Assertion(
        id=TRUE.assertion_id,
        expire_time=found.expire_time,
        object_identifier="5b6f0f3e-0f6b-4b0e-9c0e-0a4f8a1d2c11",
        email="ann@acme.test",
        given_name="Ann",
        family_name="Li",
    )
    assert timedelta(minutes=59) < found.expire_time - datetime.now(UTC) < timedelta(minutes=62)


def test_while_the_identity_provider_changes_its_certificate_both_are_good():
    both = replace(IDP, certificates=(ACME.certificate, NEXT.certificate))
    assert {judge(signed(TRUE, pair), both).email for pair in (ACME, NEXT)} == {"ann@acme.test"}
    assert reason(signed(TRUE, NEXT)) == "bad_signature"


def test_a_response_may_be_signed_over_its_signed_assertion():
    assert judge(sign(signed(TRUE, ACME), ACME)).email == "ann@acme.test"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (TRUE.but(audience="urn:federation:other"), "wrong_audience"),
        (TRUE.but(audience=None), "wrong_audience"),
        (TRUE.but(audience="urn:federation:cloudacademy2"), "wrong_audience"),
        (TRUE.but(recipient="https://evil.test/"), "wrong_recipient"),
        (TRUE.but(recipient=US.acs_url + "x"), "wrong_recipient"),
        (TRUE.but(recipient=""), "wrong_recipient"),
        (TRUE.but(destination="https://evil.test/"), "wrong_recipient"),
        (TRUE.but(destination=US.acs_url + "x"), "wrong_recipient"),
        (TRUE.but(destination=""), "wrong_recipient"),
        (TRUE.but(issuer="https://idp.evil.test/"), "wrong_issuer"),
        (TRUE.but(issuer=IDP.entity_id + "x"), "wrong_issuer"),
        (TRUE.but(request_id="ONELOGIN_2"), "wrong_request"),
        (TRUE.but(request_id=None), "wrong_request"),
        (TRUE.but(confirmation_request_id="ONELOGIN_2"), "wrong_request"),
        (TRUE.but(status="urn:oasis:names:tc:SAML:2.0:status:Responder"), "status"),
        (TRUE.but(not_on_or_after=-62), "expired"),
        (TRUE.but(confirmation_end=-1), "expired"),
        (TRUE.but(not_before=63), "not_yet_valid"),
        (TRUE.but(claims=ann(object_identifier=None)), "missing_claim"),
        (TRUE.but(claims=ann(object_identifier=[])), "missing_claim"),
        (TRUE.but(claims=ann(object_identifier=[" "])), "missing_claim"),
        (TRUE.but(claims=ann(email=None)), "missing_claim"),
        (TRUE.but(claims={}), "bad_structure"),
        (TRUE.but(claims=ann(email=["ann@acme.test", "eve@acme.test"])), "bad_claim"),
        (TRUE.but(claims=ann(email=["ann"])), "bad_claim"),
        (TRUE.but(claims=ann(email=["a" * 320 + "@acme.test"])), "bad_claim"),
    ],
)
def test_a_signed_response_that_says_something_else_is_refused(said, why):
    root = response(said)
    if said.status == TRUE.status:
        root = signed(said, ACME)
    assert reason(root) == why


def test_a_minute_of_skew_is_allowed_for_and_no_more():
    assert judge(signed(TRUE.but(not_before=57), ACME)).email == "ann@acme.test"
    assert judge(signed(TRUE.but(not_on_or_after=-57), ACME)).email == "ann@acme.test"


def test_people_may_lack_a_name_and_the_test_of_a_connection_is_told():
    found = judge(signed(TRUE.but(claims=ann(surname=None, given_name=[])), ACME))
    assert (found.given_name, found.family_name, found.missing) == (
        "",
        "",
        ("givenname", "surname"),
    )


def test_a_response_for_the_other_region_is_refused_in_this_one():
    elsewhere = signed(TRUE.but(acs_url=EU.acs_url), ACME)
    assert reason(elsewhere) == "wrong_recipient"
    now = datetime.now(UTC)
    assert verify(EU, IDP, encoded(elsewhere), REQUEST_ID, now).email == "ann@acme.test"


def test_another_organizations_identity_provider_vouches_for_nobody_here():
    other = replace(IDP, entity_id="https://idp.other.test/", certificates=(NEXT.certificate,))
    theirs = signed(TRUE.but(issuer=other.entity_id), NEXT)
    assert judge(theirs, other).email == "ann@acme.test"
    assert reason(theirs) == "wrong_issuer"
    assert reason(signed(TRUE, NEXT)) == "bad_signature"


@pytest.mark.parametrize("name", ["Conditions", "Subject", "AuthnStatement", "Issuer"])
def test_an_assertion_without_one_of_its_parts_is_refused(name):
    def without(root):
        assertion = root.find("{*}Assertion")
        assertion.remove(assertion.find(f"{{*}}{name}"))

    root = changed(response(TRUE), without)
    sign(root.find("{*}Assertion"), ACME)
    assert reason(root) in ("bad_assertion", "bad_structure")


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
def test_a_confirmation_that_is_not_the_bearers_for_a_while_is_refused(change):
    root = response(TRUE)
    change(root.find(".//{*}SubjectConfirmationData"))
    sign(root.find("{*}Assertion"), ACME)
    assert reason(root) == "bad_assertion"


def test_a_refusal_says_nothing_of_what_was_in_the_response():
    with pytest.raises(SignInError) as refused:
        judge(signed(TRUE.but(issuer="https://secret.test/"), ACME))
    assert "secret" not in str(refused.value)
    assert "ann" not in repr(refused.value.explanation).lower().replace("annot", "")
