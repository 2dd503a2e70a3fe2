"""The two sides of single sign-on: Cloud Academy, and an organization's identity provider."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Saml
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from chassis.config.database_url import DEVELOPMENT
from chassis.startup import StartError, redact

ENTITY_ID: Final = "urn:federation:cloudacademy"
ACS_PATH: Final = "/labs/social/complete/saml/"

_PROOF: Final = "one key pair"


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Who vouches for the people of an organization."""

    organization_id: str
    etag: str
    active: bool
    sso_url: str
    entity_id: str
    certificates: tuple[str, ...]
    create_missing: bool

    @property
    def is_set_up(self) -> bool:
        """Whether all is known that a sign-in needs."""
        return bool(self.sso_url and self.entity_id and self.certificates)


@dataclass(frozen=True, slots=True)
class ServiceProvider:
    """Cloud Academy in one region, with the key that it signs its requests with."""

    base_url: str
    key: str = field(repr=False)
    certificate: str
    next_certificate: str | None = None
    """Announced in the metadata ahead of a change of the key."""

    @property
    def acs_url(self) -> str:
        """Where responses go to: the Reply URL in Entra."""
        return self.base_url + ACS_PATH

    def settings(
        self, idp: IdentityProvider, sso_url: str | None = None
    ) -> OneLogin_Saml2_Settings:
        """The library's settings for one identity provider."""
        return OneLogin_Saml2_Settings(
            self._document()
            | {
                "idp": {
                    "entityId": idp.entity_id,
                    "singleSignOnService": {
                        "url": sso_url or idp.sso_url,
                        "binding": Saml.BINDING_HTTP_REDIRECT,
                    },
                    "x509certMulti": {"signing": list(idp.certificates)},
                },
            }
        )

    def metadata(self) -> bytes:
        """Our metadata, for identity providers to read."""
        settings = OneLogin_Saml2_Settings(self._document(), sp_validation_only=True)
        metadata = settings.get_sp_metadata()
        return metadata if isinstance(metadata, bytes) else metadata.encode()

    def _document(self) -> dict[str, Any]:
        sp: dict[str, Any] = {
            "entityId": ENTITY_ID,
            "assertionConsumerService": {
                "url": self.acs_url,
                "binding": Saml.BINDING_HTTP_POST,
            },
            "NameIDFormat": Saml.NAMEID_UNSPECIFIED,
            "x509cert": self.certificate,
            "privateKey": self.key,
        }
        if self.next_certificate:
            sp["x509certNew"] = self.next_certificate
        return {
            "strict": True,
            "debug": False,
            "sp": sp,
            "security": {
                "authnRequestsSigned": True,
                "signatureAlgorithm": Saml.RSA_SHA256,
                "digestAlgorithm": Saml.SHA256,
                "wantAssertionsSigned": True,
                "wantNameId": True,
                "rejectDeprecatedAlgorithm": True,
                "requestedAuthnContext": False,  # how people prove who they are is Entra's affair
                "allowSingleLabelDomains": True,
                # Never over: Entra reads the file once, when an admin uploads it.
                "metadataValidUntil": "",
                "metadataCacheDuration": "",
            },
        }


def read_service_provider(base_url: str, key: Path, certificate: Path) -> ServiceProvider:
    """Read the key and the certificate: one, or two when the key will change.

    Refuses (StartError) files that cannot be read or do not belong together, and a key that was
    made for development at an address that the public has.
    """
    key_text = _read("key", key)
    certificates = _certificates(_read("certificate", certificate))
    if not 1 <= len(certificates) <= 2:
        raise StartError(f"{certificate} holds {len(certificates)} certificates, not 1 or 2")
    if not _belong_together(key_text, certificates[0]):
        raise StartError(
            f"{key} and the first certificate of {certificate} are no pair of one RSA key"
        )
    if base_url.startswith("https://") and any(map(_is_for_development, certificates)):
        raise StartError(f"{certificate} was made for development, and its address is public")
    return ServiceProvider(base_url, key_text, *certificates)


def _read(what: str, path: Path) -> str:
    # What leads to no file may be a secret, and no path; and in the file there is one.
    try:
        return path.read_text()
    except OSError as error:
        cause = f"{error.strerror}: {redact(str(path))}"
    except UnicodeDecodeError:
        cause = f"{path} is not text"
    raise StartError(f"cannot read the key pair for SAML, its {what}: {cause}")


def _certificates(text: str) -> Sequence[str]:
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
    except ValueError:  # no certificate in it, or one that cannot be read
        return ()
    return [each.public_bytes(Encoding.PEM).decode() for each in certificates]


def _is_for_development(certificate: str) -> bool:
    name = x509.load_pem_x509_certificate(certificate.encode()).subject.rfc4514_string()
    return DEVELOPMENT in name


def _belong_together(key: str, certificate: str) -> bool:
    try:
        proof = OneLogin_Saml2_Utils.sign_binary(_PROOF, key)
    except xmlsec.Error:
        return False
    return bool(OneLogin_Saml2_Utils.validate_binary_sign(_PROOF, proof, certificate))
