"""The form with the single sign-on settings."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cloudacademy.keys.v1.sso_pb2 import SsoConnection

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=]++")
_SEPARATORS: Final = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class SsoForm:
    """The fields of the form, as shown and as submitted."""

    sso_url: str
    idp_entity_id: str
    certificates: str
    domains: str
    create_missing_users: bool
    etag: str

    def connection(self) -> SsoConnection:
        """The connection with these settings."""
        return SsoConnection(
            sso_url=self.sso_url,
            idp_entity_id=self.idp_entity_id,
            certificates=split_certificates(self.certificates),
            domains=[each.lower().lstrip("@") for each in _SEPARATORS.split(self.domains) if each],
            create_missing_users=self.create_missing_users,
        )


def of_connection(connection: SsoConnection) -> SsoForm:
    """The form that shows an existing connection."""
    return SsoForm(
        sso_url=connection.sso_url,
        idp_entity_id=connection.idp_entity_id,
        certificates="\n".join(each.strip() for each in connection.certificates),
        domains=", ".join(connection.domains),
        create_missing_users=connection.create_missing_users,
        etag=connection.etag,
    )


def of_fields(fields: Mapping[str, object]) -> SsoForm:
    """The form as submitted."""

    def text(name: str) -> str:
        value = fields.get(name, "")
        return value.strip() if isinstance(value, str) else ""

    return SsoForm(
        sso_url=text("sso_url"),
        idp_entity_id=text("idp_entity_id"),
        certificates=text("certificates"),
        domains=text("domains"),
        create_missing_users=bool(text("create_missing_users")),
        etag=text("etag"),
    )


def split_certificates(text: str) -> list[str]:
    """The certificates in a text, as PEM.

    Base64 without PEM lines, which Entra also offers, is accepted as one certificate. A text that
    contains no certificate is returned unchanged, so that keysvc refuses it with a message.
    """
    bodies = _bodies(text)
    if not bodies and text.strip() and _is_base64(text):
        bodies = [_without_whitespace(text)]
    if not bodies:
        return [text] if text.strip() else []
    return [_pem(body) for body in bodies]


def thumbprints(certificates: Sequence[str]) -> list[str]:
    """The SHA-1 digest of each certificate, which Entra shows as Thumbprint."""
    found = []
    for certificate in certificates:
        for body in _bodies(certificate)[:1]:
            if _is_base64(body):
                content = base64.b64decode(body)
                found.append(hashlib.sha1(content, usedforsecurity=False).hexdigest().upper())
    return found


def _bodies(text: str) -> list[str]:
    """The base64 of each PEM certificate (RFC 7468 section 5), without whitespace.

    The text is untrusted input. Each part is read once, so that the time stays linear.
    """
    found = []
    for part in text.split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        body = _without_whitespace(body)
        if end and _BASE64.fullmatch(body):
            found.append(body)
    return found


def _without_whitespace(text: str) -> str:
    return "".join(text.split())


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(_without_whitespace(text), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _pem(body: str) -> str:
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join((_BEGIN, *lines, _END, ""))
