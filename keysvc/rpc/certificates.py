"""Validation of identity providers' certificates."""

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from chassis.errors import InvalidField

FIELD: Final = "connection.certificates"
MAXIMUM_CHARACTERS: Final = 20_000
RSA_BITS: Final = 2_048
EC_BITS: Final = 256


def normalize_certificate(pem: str, now: datetime) -> str:
    """Normalize the PEM of one X.509 certificate.

    Refuses (InvalidField) other texts, several certificates, an expired certificate, and one with a
    weak key.
    """
    try:
        if len(pem) > MAXIMUM_CHARACTERS:
            raise ValueError
        (certificate,) = x509.load_pem_x509_certificates(pem.encode())
        end, strong = certificate.not_valid_after_utc, _is_strong(certificate)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise InvalidField(FIELD, "must each be one X.509 certificate in PEM") from None
    if end <= now:
        thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - the thumbprint that Entra shows
        raise InvalidField(
            FIELD, f"the one with the thumbprint {thumbprint} expired on {end:%Y-%m-%d}"
        )
    if not strong:
        raise InvalidField(
            FIELD, "must have RSA keys of at least 2,048 bits, or EC keys of at least 256 bits"
        )
    return certificate.public_bytes(Encoding.PEM).decode()


def _is_strong(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= EC_BITS
