"""The form with the single sign-on settings, and certificates in it."""

import base64

import pytest
from cloudacademy.keys.v1.sso_pb2 import SsoConnection

from gateway.portal.models.sso_form import of_connection, of_fields, split_certificates, thumbprints

DER = base64.b64encode(bytes(range(256))).decode()
PEM = f"-----BEGIN CERTIFICATE-----\n{DER}\n-----END CERTIFICATE-----"


def test_certificates_are_accepted_as_pem_or_as_bare_base64():
    assert len(split_certificates(f"{PEM}\r\n\r\n{PEM}")) == 2
    assert split_certificates(DER) == split_certificates(PEM)
    assert max(len(line) for line in split_certificates(DER)[0].splitlines()) == 64
    assert split_certificates("") == []
    assert split_certificates("no certificate!") == ["no certificate!"]  # keysvc refuses it
    assert thumbprints(split_certificates(PEM)) == ["4916D6BDB7F78E6803698CAB32D1586EA457DFC8"]


@pytest.mark.parametrize(
    "text",
    [
        PEM.replace("-----BEGIN", f"-----BEGIN CERTIFICATE-----{' ' * 9}!-----BEGIN"),
        f"subject=CN=a\n{PEM}\n-----BEGIN CERTIFICATE-----",
        f"{PEM}-----BEGIN CERTIFICATE----- -----END CERTIFICATE-----",
        f"-----END CERTIFICATE-----{PEM}-----BEGIN PUBLIC KEY-----AA==-----END PUBLIC KEY-----",
    ],
)
def test_certificate_is_found_within_other_text(text: str):
    assert split_certificates(text) == split_certificates(PEM)


@pytest.mark.parametrize("text", [PEM[:-1], PEM.replace("A", "!"), PEM[1:]])
def test_text_without_a_whole_certificate_is_returned_unchanged(text: str):
    assert split_certificates(text) == [text]
    assert thumbprints([text]) == []


def test_sso_form_round_trips_a_connection():
    connection = SsoConnection(
        sso_url="https://idp.test/", idp_entity_id="i", domains=["a.test", "b.test"]
    )
    assert of_connection(connection).connection() == connection
    sent = of_fields({"domains": "@A.test; b.test\n", "create_missing_users": "on"}).connection()
    assert (list(sent.domains), sent.create_missing_users) == (["a.test", "b.test"], True)
