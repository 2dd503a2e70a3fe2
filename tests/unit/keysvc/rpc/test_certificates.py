"""Validation of pasted certificates."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from chassis.errors import InvalidField
from keysvc.rpc.certificates import normalize_certificate

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KEY = rsa.generate_private_key(65_537, 2_048)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])


def certificate(public_key: object = None, end: datetime = NOW + SECOND) -> str:
    signed = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(public_key or KEY.public_key())
        .serial_number(1)
        .not_valid_before(end - timedelta(days=1))
        .not_valid_after(end)
        .sign(KEY, hashes.SHA256())
    )
    return signed.public_bytes(Encoding.PEM).decode()


PEM = certificate()


@pytest.mark.parametrize(
    "pasted",
    [
        PEM,
        PEM.replace("\n", "\r\n"),
        f"\n\n{PEM}\n",
        f"Bag Attributes: <none>\nsubject=CN = idp\n{PEM}",
    ],
    ids=["unchanged", "from Windows", "with blank lines", "with text before it"],
)
def test_certificate_is_normalized_to_one_form(pasted: str):
    assert normalize_certificate(pasted, NOW) == PEM


def test_private_key_beside_a_certificate_is_dropped():
    secret = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert normalize_certificate(secret + PEM, NOW) == PEM


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "nonsense",
        PEM[:-100],
        PEM + PEM,
        PEM.replace("CERTIFICATE", "PUBLIC KEY"),
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        PEM + "x" * 20_000,
        "é" + "\x00",
    ],
    ids=["no text", "nonsense", "truncated", "two", "key", "empty", "very long", "not ASCII"],
)
def test_text_that_is_not_one_certificate_is_refused(pasted: str):
    with pytest.raises(InvalidField) as caught:
        normalize_certificate(pasted, NOW)
    assert caught.value.detail == (
        "connection.certificates: must each be one X.509 certificate in PEM"
    )


def test_expired_certificate_is_refused_with_its_thumbprint():
    expired = certificate(end=NOW)
    thumbprint = x509.load_pem_x509_certificate(expired.encode()).fingerprint(hashes.SHA1())
    with pytest.raises(InvalidField) as caught:
        normalize_certificate(expired, NOW)
    assert caught.value.detail == (
        f"connection.certificates: the one with the thumbprint {thumbprint.hex().upper()} "
        "expired on 2026-03-01"
    )
    assert normalize_certificate(expired, NOW - SECOND) == expired


@pytest.mark.parametrize(
    ("public_key", "accepted"),
    [
        (KEY.public_key(), True),
        (rsa.generate_private_key(65_537, 1_024).public_key(), False),
        (ec.generate_private_key(ec.SECP256R1()).public_key(), True),
        (ec.generate_private_key(ec.SECP192R1()).public_key(), False),
        (dsa.generate_private_key(2_048).public_key(), False),
        (ed25519.Ed25519PrivateKey.generate().public_key(), False),
    ],
    ids=["RSA 2048", "RSA 1024", "EC 256", "EC 192", "DSA", "Ed25519"],
)
def test_certificate_is_accepted_only_with_a_strong_key(public_key: object, accepted: bool):
    pem = certificate(public_key)
    if accepted:
        assert normalize_certificate(pem, NOW) == pem
    else:
        with pytest.raises(InvalidField):
            normalize_certificate(pem, NOW)
