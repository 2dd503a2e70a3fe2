"""All keys with which the gateways of a region sign, and their fingerprints.

The keys of access tokens and webhooks belong here, too, once there are some: as a field of
RegionKeys and in its fingerprints.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2s
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.signing.shared_secrets import SharedSecrets

SHARED: Final = "shared_secret"
SAML_CERTIFICATE: Final = "saml_certificate"


@dataclass(frozen=True, slots=True)
class SamlFiles:
    """The key that signs requests to identity providers, and its certificate.

    The file of the certificate may contain a second one: that of the next or the previous key.
    """

    key: Path
    certificate: Path


@dataclass(frozen=True, slots=True)
class KeyFingerprint:
    """A fingerprint identifies a key and does not reveal it."""

    kind: str
    state: Literal["signing", "accepted"]
    """`accepted`: valid for signatures of other gateways, but this one does not sign with it."""
    fingerprint: str


@dataclass(frozen=True, slots=True)
class RegionKeys:
    """The keys of one gateway. All gateways of a region have the same, except during a rotation."""

    shared: SharedSecrets
    saml: SamlFiles | None = None
    """None disables single sign-on."""

    def fingerprints(self) -> Sequence[KeyFingerprint]:
        """A fingerprint of each key; the signing key of a kind comes first."""
        return (
            *_fingerprints(SHARED, [each.hex() for each in self.shared.values]),
            *_fingerprints(SAML_CERTIFICATE, list(self._certificates())),
        )

    def digests(self) -> Mapping[str, str]:
        """A digest of all keys of a kind in their order, by the label of `shared_settings_info`."""
        return {
            "cursor_secret": settings_digest(",".join(each.hex() for each in self.shared.values)),
            "saml_certificate": settings_digest(self._certificate_file().hex()),
        }

    def _certificates(self) -> Iterator[str]:
        with suppress(ValueError):  # single sign-on reports an invalid file
            for each in x509.load_pem_x509_certificates(self._certificate_file()):
                yield each.public_bytes(Encoding.DER).hex()

    def _certificate_file(self) -> bytes:
        with suppress(OSError):  # single sign-on reports a file that cannot be read
            return self.saml.certificate.read_bytes() if self.saml else b""
        return b""


def settings_digest(text: str) -> str:
    """A short digest of a setting, which shows whether two gateways have the same value.

    The digest of a secret cannot be guessed, because secrets have 32 random bytes or more.
    """
    return blake2s(text.encode(), digest_size=6, person=b"settings").hexdigest()


def labels(fingerprints: Sequence[KeyFingerprint]) -> Sequence[Mapping[str, str]]:
    """The fingerprints as labels of a metric, and as fields of a log line."""
    return [asdict(each) for each in fingerprints]


def _fingerprints(kind: str, keys: Sequence[str]) -> Iterator[KeyFingerprint]:
    for position, key in enumerate(keys):
        yield KeyFingerprint(kind, "accepted" if position else "signing", settings_digest(key))
