"""A private key and a self-signed certificate for SAML."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from deploy.local.files import write_private

BITS = 3072
LIFETIME = timedelta(days=3650)


def create_key_pair(key_path: Path, certificate_path: Path, name: str) -> None:
    """Write a key and its certificate, unless both exist."""
    if key_path.exists() and certificate_path.exists():
        return
    key, certificate = generate_key_pair(name)
    write_private(key_path, key)
    write_private(certificate_path, certificate)


def generate_key_pair(name: str, bits: int = BITS) -> tuple[str, str]:
    """An RSA key and its self-signed certificate for a common name, both in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
