"""Advice for refused requests."""

import pytest
from cloudacademy.users.v1.activity_pb2 import RefusedRequest

from gateway.portal.models.log.advice import advice
from gateway.portal.models.providers import ENTRA, OKTA, OTHER, PROVIDERS, Provider

REFUSALS = (
    *(
        RefusedRequest(status=400, reason=reason)
        for reason in (
            "USER_NAME_TAKEN",
            "USER_NOT_FOUND",
            "GROUP_NOT_FOUND",
            "MEMBER_NOT_FOUND",
            "GROUP_CYCLE",
            "ETAG_MISMATCH",
            "FIELD_IMMUTABLE",
            "KEY_EXPIRED",
            "KEY_REVOKED",
            "INTEGRATION_INACTIVE",
        )
    ),
    *(
        RefusedRequest(status=400, error_type=error_type)
        for error_type in ("invalidValue", "invalidPath", "noTarget", "invalidSyntax", "tooMany")
    ),
    RefusedRequest(status=413),
    RefusedRequest(status=418),
    RefusedRequest(status=503),
)


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (RefusedRequest(status=409, reason="USER_NAME_TAKEN"), "already has this userName"),
        (RefusedRequest(status=409, error_type="uniqueness"), "already has this userName"),
        (RefusedRequest(status=404, reason="USER_NOT_FOUND"), "Restart provisioning"),
        (RefusedRequest(status=401, reason="KEY_EXPIRED"), "Secret Token"),
        (RefusedRequest(status=503, reason="DATABASE_UNAVAILABLE"), "on our side"),
        (RefusedRequest(status=503), "on our side"),
        (RefusedRequest(status=404), "Restart provisioning"),
        (RefusedRequest(status=400, error_type="invalidPath"), "Mappings"),
        (RefusedRequest(status=400, error_type="invalidPath"), "target attribute"),
        (RefusedRequest(status=418), "Provision on demand"),
    ],
)
def test_advice_depends_on_the_reason_of_the_refusal(refusal: RefusedRequest, words: str):
    assert words in advice(refusal, ENTRA)


@pytest.mark.parametrize("provider", [OKTA, OTHER], ids=lambda each: each.slug)
@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_advice_names_the_client_and_no_other_provider(refusal: RefusedRequest, provider: Provider):
    text = advice(refusal, provider)
    assert not [
        word
        for word in ("Entra", "Secret Token", "Provision on demand", "40 minutes", "{")
        if word in text
    ]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda each: each.slug)
def test_advice_about_a_key_uses_the_label_of_the_provider(provider: Provider):
    text = advice(RefusedRequest(status=401, reason="KEY_EXPIRED"), provider)
    assert text.startswith(f"{provider.subject} still uses an expired key.")
    assert provider.secret_label in text
