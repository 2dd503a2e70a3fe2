"""The checks of a request."""

import pytest
from cloudacademy.users.v1.activity_pb2 import Activity, RefusedRequest

from gateway.portal.models.log.checks import checks


@pytest.mark.parametrize(
    ("refusal", "failed"),
    [
        (RefusedRequest(status=401, reason="KEY_REVOKED"), 0),
        (RefusedRequest(status=401, reason="INTEGRATION_INACTIVE"), 1),
        (RefusedRequest(status=400, error_type="invalidSyntax"), 2),
        (RefusedRequest(status=404), 3),
        (RefusedRequest(status=400, error_type="invalidValue"), 4),
        (RefusedRequest(status=409, reason="USER_NAME_TAKEN"), 5),
        (RefusedRequest(status=503), 6),
    ],
)
def test_checks_pass_up_to_the_failed_one(refusal: RefusedRequest, failed: int):
    outcomes = [each.outcome.value for each in checks(Activity(refused=True, refusal=refusal))]
    assert outcomes == ["passed"] * failed + ["failed"] + ["not reached"] * (6 - failed)


def test_checks_of_a_successful_change_all_pass():
    assert {each.outcome.value for each in checks(Activity())} == {"passed"}
