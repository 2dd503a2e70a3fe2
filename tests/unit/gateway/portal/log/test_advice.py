"""Advice for refused requests."""

import pytest
from cloudacademy.users.v1.activity_pb2 import RefusedRequest

from gateway.portal.models.log.advice import advice


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
    assert words in advice(refusal)
