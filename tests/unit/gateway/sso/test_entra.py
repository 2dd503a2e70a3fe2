"""Verification of a response in the exact form that Microsoft Entra ID sends."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from string import Template

import xmlsec
from lxml import etree

from tests.support.saml.idp import NAMES, encoded
from tests.support.saml.parties import ACME, IDP, REQUEST_ID, US, verify_response

TENANT = "https://sts.windows.net/3a0b7f5e-6d2c-4b8e-9f11-0c5d7a9e4b21/"
ENTRA = replace(IDP, entity_id=TENANT)
# Fractional seconds, default namespaces, additional claims and the NameID format, as in Entra.
RESPONSE = Template(
    '<samlp:Response ID="_7b2c9c2e-3d1f-4d57-9e0d-5b9f6a1c2d33" Version="2.0"'
    ' IssueInstant="$now" Destination="$acs" InResponseTo="$request"'
    ' xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol">'
    '<Issuer xmlns="urn:oasis:names:tc:SAML:2.0:assertion">$issuer</Issuer>'
    '<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>'
    "</samlp:Status>"
    '<Assertion ID="_b1e3a5d4-51c2-4a8f-8b7e-9d2f4c6e8a00" IssueInstant="$now" Version="2.0"'
    ' xmlns="urn:oasis:names:tc:SAML:2.0:assertion"><Issuer>$issuer</Issuer>'
    '<Subject><NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress">'
    "ann@acme.test</NameID>"
    '<SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">'
    '<SubjectConfirmationData InResponseTo="$request" NotOnOrAfter="$end" Recipient="$acs"/>'
    "</SubjectConfirmation></Subject>"
    '<Conditions NotBefore="$start" NotOnOrAfter="$end"><AudienceRestriction>'
    "<Audience>urn:federation:cloudacademy</Audience></AudienceRestriction></Conditions>"
    "<AttributeStatement>$attributes</AttributeStatement>"
    '<AuthnStatement AuthnInstant="$start" SessionIndex="_b1e3a5d4-51c2-4a8f-8b7e-9d2f4c6e8a00">'
    "<AuthnContext><AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
    "</AuthnContextClassRef></AuthnContext></AuthnStatement></Assertion></samlp:Response>"
)
ATTRIBUTES = {
    "http://schemas.microsoft.com/identity/claims/tenantid": ["3a0b7f5e"],
    "http://schemas.microsoft.com/identity/claims/objectidentifier": ["5b6f0f3e"],
    "http://schemas.microsoft.com/identity/claims/displayname": ["Ann Li"],
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups": ["a", "b", "c"],
    "http://schemas.microsoft.com/claims/authnmethodsreferences": [
        "http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password",
        "http://schemas.microsoft.com/claims/multipleauthn",
    ],
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname": ["Ann"],
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname": ["Li"],
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress": ["ann@acme.test"],
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name": ["ann@acme.test"],
}


def attribute(name: str, values: list[str]) -> str:
    inner = "".join(f"<AttributeValue>{value}</AttributeValue>" for value in values)
    return f'<Attribute Name="{name}">{inner}</Attribute>'


def time(**ahead: float) -> str:
    moment = datetime.now(UTC) + timedelta(**ahead)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def entra_response() -> str:
    text = RESPONSE.substitute(
        now=time(),
        start=time(minutes=-5),
        end=time(minutes=65),
        acs=US.acs_url,
        request=REQUEST_ID,
        issuer=TENANT,
        attributes="".join(attribute(*each) for each in ATTRIBUTES.items()),
    )
    root = etree.fromstring(text)
    assertion = root.find("saml:Assertion", NAMES)
    signature = xmlsec.template.create(
        assertion, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.RSA_SHA256
    )
    assertion.insert(1, signature)
    reference = xmlsec.template.add_reference(
        signature, xmlsec.Transform.SHA256, uri=f"#{assertion.get('ID')}"
    )
    xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(ACME.key, xmlsec.KeyFormat.PEM, None)
    context.key.load_cert_from_memory(ACME.certificate, xmlsec.KeyFormat.CERT_PEM)
    xmlsec.tree.add_ids(assertion, ["ID"])
    context.sign(signature)
    return etree.tostring(root).decode()


def test_verify_accepts_the_response_of_entra():
    text = entra_response()
    assert '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#">' in text
    found = verify_response(text, ENTRA)
    assert (found.object_identifier, found.email, found.given_name, found.family_name) == (
        "5b6f0f3e",
        "ann@acme.test",
        "Ann",
        "Li",
    )
    assert found.missing == ()
    # Longer than the hour for which usersvc remembers assertions; the pending sign-in limits it.
    assert found.expire_time - datetime.now(UTC) > timedelta(hours=1)
    assert len(encoded(text)) < 12_000
