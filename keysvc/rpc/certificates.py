"""The certificates of identity providers, which people paste."""

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


def normalized(pem: str, now: datetime) -> str:
    """One certificate in the usual form of PEM.

    Refuses (InvalidField) what is no X.509 certificate, or several, one that is over, and one
    whose key is too weak to vouch for anybody.
    """
    try:
        if len(pem) > MAXIMUM_CHARACTERS:
            raise ValueError
        (certificate,) = x509.load_pem_x509_certificates(pem.encode())
        end, strong = certificate.not_valid_after_utc, _is_strong(certificate)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise InvalidField(FIELD, "must each be one X.509 certificate in PEM") from None
    if end <= now:
        name = certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - as Entra shows it
        raise InvalidField(FIELD, f"the one with the thumbprint {name} ended on {end:%Y-%m-%d}")
    if not strong:
        raise InvalidField(FIELD, "must have RSA keys of 2,048 bits, or EC keys of 256, or more")
    return certificate.public_bytes(Encoding.PEM).decode()


def _is_strong(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= EC_BITS
