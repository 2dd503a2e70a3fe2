"""Certificate authorities for tests."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from chassis.config.settings import CertificateFiles

DAY = timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Authority:
    """A certificate authority."""

    name: str = "authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def sign(
        self,
        subject: str,
        public_key: ec.EllipticCurvePublicKey,
        names: list[x509.GeneralName],
        end: datetime,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(datetime.now(UTC), end) - DAY)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(subject == self.name, None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        """The authority's own certificate."""
        signed = self.sign(self.name, self.key.public_key(), [], datetime.now(UTC) + DAY)
        return signed.public_bytes(Encoding.PEM)

    def issue(
        self,
        folder: Path,
        name: str,
        *,
        life: timedelta = DAY,
        uri: str = "",
        trusts: "Authority | None" = None,
    ) -> CertificateFiles:
        """Write a new certificate with the DNS names `name` and `localhost`, or with a URI.

        Its holder trusts the authority `trusts`, by default this one."""
        key = new_key()
        names: list[x509.GeneralName] = [x509.DNSName(name), x509.DNSName("localhost")]
        if uri:
            names = [x509.UniformResourceIdentifier(uri)]
        signed = self.sign(name, key.public_key(), names, datetime.now(UTC) + life)
        folder.mkdir(exist_ok=True)
        files = CertificateFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")
        private_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        replace(files.authority, (trusts or self).pem)
        replace(files.key, private_key)
        replace(files.certificate, signed.public_bytes(Encoding.PEM))
        return files


def replace(path: Path, content: bytes) -> None:
    """Replace a file atomically, as rotation tools do."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(path)
