"""The two parties of single sign-on: the service provider and the identity provider."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

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

_PROBE: Final = "probe"


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An organization's identity provider, as keysvc stores it."""

    organization_id: str
    etag: str
    active: bool
    sso_url: str
    entity_id: str
    certificates: tuple[str, ...]
    create_missing: bool
    organization_name: str = ""
    trusted_domains: frozenset[str] = frozenset()
    """The e-mail domains that the organization has proven, or that are in their grace period."""

    @property
    def host(self) -> str:
        """The host of its sign-in page, to show to people."""
        return urlsplit(self.sso_url).hostname or ""

    def may_assert(self, email: str) -> bool:
        """Whether the organization has proven the domain of an e-mail address.

        Only then the address names a person of the organization."""
        return email.rpartition("@")[2].lower() in self.trusted_domains

    @property
    def is_set_up(self) -> bool:
        """Whether all settings that a sign-in needs are present."""
        return bool(self.sso_url and self.entity_id and self.certificates)


@dataclass(frozen=True, slots=True)
class ServiceProvider:
    """Cloud Academy in one region, with its signing key."""

    base_url: str
    key: str = field(repr=False)
    certificate: str
    next_certificate: str | None = None
    """The certificate of the next key, published in the metadata before the key changes."""

    @property
    def acs_url(self) -> str:
        """The assertion consumer service URL; Entra calls it Reply URL."""
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
        """The service provider's metadata, as XML."""
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
                "requestedAuthnContext": False,  # Entra decides how people authenticate
                # Keycloak sends each role in an attribute of its own. A claim that is given twice
                # is refused all the same, because it then has two values.
                "allowRepeatAttributeName": True,
                "allowSingleLabelDomains": True,
                # No expiry: Entra reads the file once, when an administrator uploads it.
                "metadataValidUntil": "",
                "metadataCacheDuration": "",
            },
        }


def read_service_provider(base_url: str, key: Path, certificate: Path) -> ServiceProvider:
    """Read the signing key and its certificate, optionally followed by the next key's certificate.

    Raises StartError if a file cannot be read, if key and certificate do not match, or if a
    development certificate is used with a public (HTTPS) URL.
    """
    key_text = _read("key", key)
    certificates = _certificates(_read("certificate", certificate))
    if not 1 <= len(certificates) <= 2:
        raise StartError(f"{certificate} contains {len(certificates)} certificates, not 1 or 2")
    if not _match(key_text, certificates[0]):
        raise StartError(f"{key} does not match the first certificate in {certificate}")
    if base_url.startswith("https://") and any(map(_is_for_development, certificates)):
        raise StartError(f"{certificate} is for development only, but the URL is public")
    return ServiceProvider(base_url, key_text, *certificates)


def _read(what: str, path: Path) -> str:
    # A path that cannot be opened may be the key itself, given by mistake: the message redacts it.
    # A decoding error would quote the file's content, so it is not included.
    try:
        return path.read_text()
    except OSError as error:
        cause = f"{error.strerror}: {redact(str(path))}"
    except UnicodeDecodeError:
        cause = f"{path} is not text"
    raise StartError(f"cannot read the SAML {what}: {cause}")


def _certificates(text: str) -> Sequence[str]:
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
    except ValueError:  # no certificate, or an invalid one
        return ()
    return [each.public_bytes(Encoding.PEM).decode() for each in certificates]


def _is_for_development(certificate: str) -> bool:
    name = x509.load_pem_x509_certificate(certificate.encode()).subject.rfc4514_string()
    return DEVELOPMENT in name


def _match(key: str, certificate: str) -> bool:
    try:
        signature = OneLogin_Saml2_Utils.sign_binary(_PROBE, key)
    except xmlsec.Error:
        return False
    return bool(OneLogin_Saml2_Utils.validate_binary_sign(_PROBE, signature, certificate))
