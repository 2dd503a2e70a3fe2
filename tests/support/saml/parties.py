"""Service providers, identity providers and key pairs for tests of single sign-on."""

from datetime import UTC, datetime

import pytest

from gateway.sso.assertion import Assertion, verify
from gateway.sso.provider import IdentityProvider, ServiceProvider
from gateway.sso.refusals import SignInError
from tests.support.saml.idp import Element, Statement, encoded, key_pair

ACME, NEXT, MALLORY = key_pair("acme"), key_pair("acme's next"), key_pair("mallory")
REQUEST_ID = "ONELOGIN_1"
US = ServiceProvider("https://cloudacademy.test", key_pair("us").key, key_pair("us").certificate)
EU = ServiceProvider("https://app.qa.test", key_pair("eu").key, key_pair("eu").certificate)
IDP = IdentityProvider(
    organization_id="0192f0c1-0000-7000-8000-000000000001",
    etag="1",
    active=True,
    sso_url="https://idp.acme.test/sso?tenant=1&x=2",
    entity_id="https://idp.acme.test/",
    certificates=(ACME.certificate,),
    create_missing=False,
)
VALID = Statement(US.acs_url, REQUEST_ID, IDP.entity_id)
"""A valid statement of Acme's identity provider."""


def verify_response(response: Element | bytes | str, idp: IdentityProvider = IDP) -> Assertion:
    """Verify a response as the service provider of the region us, now."""
    return verify(US, idp, encoded(response), REQUEST_ID, datetime.now(UTC))


def refusal_reason(response: Element | bytes | str, idp: IdentityProvider = IDP) -> str:
    """Assert that a response is refused, and return the reason."""
    with pytest.raises(SignInError) as refused:
        verify_response(response, idp)
    return refused.value.reason
