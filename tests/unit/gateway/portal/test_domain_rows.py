"""The rows and the banner of e-mail domains."""

import pytest
from cloudacademy.keys.v1.domains_pb2 import Domain
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.portal.models.domain_rows import domain_rows, warnings

NOON = Timestamp(seconds=1_796_040_000)
PROVEN = {"state": Domain.STATE_PROVEN, "proven_time": NOON}


@pytest.mark.parametrize(
    ("fields", "label", "warning"),
    [
        ({"state": Domain.STATE_PENDING}, "Not verified", ""),
        ({"state": Domain.STATE_GRACE, "grace_end_time": NOON}, "Verify soon", "by 30 Nov 2026"),
        (PROVEN, "Verified", ""),
        (PROVEN | {"loss_time": NOON}, "Record missing", "from 30 Nov 2026"),
        ({"state": Domain.STATE_LOST}, "No longer verified", "is no longer verified"),
        (
            {"state": Domain.STATE_PENDING, "public_mail": True},
            "Not possible",
            "Remove it from the email domains",
        ),
    ],
)
def test_label_and_banner_follow_the_state(fields: dict, label: str, warning: str):
    domain = Domain(name="acme.test", **fields)
    (row,) = domain_rows([domain])
    assert row.label == label
    assert [warning in text for text in warnings([domain])] == ([True] if warning else [])


def test_domain_that_an_operator_verified_needs_no_record():
    (row,) = domain_rows([Domain(name="acme.test", verified_by_operator=True, **PROVEN)])
    assert (row.by_operator, "needs no record" in row.text) == (True, True)


def test_domain_of_a_public_mail_provider_asks_for_its_removal_not_for_a_record():
    (row,) = domain_rows([Domain(name="gmail.com", public_mail=True)])
    assert (row.public_mail, "Remove it" in row.text, "TXT" in row.text) == (True, True, False)
