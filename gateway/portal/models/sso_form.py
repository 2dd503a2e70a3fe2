"""The form of the single sign-on set-up."""

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
    """The fields as they are shown and sent."""

    sso_url: str
    idp_entity_id: str
    certificates: str
    domains: str
    create_missing_users: bool
    etag: str

    def connection(self) -> SsoConnection:
        """The connection that the fields describe."""
        return SsoConnection(
            sso_url=self.sso_url,
            idp_entity_id=self.idp_entity_id,
            certificates=split_certificates(self.certificates),
            domains=[each.lower().lstrip("@") for each in _SEPARATORS.split(self.domains) if each],
            create_missing_users=self.create_missing_users,
        )


def of_connection(connection: SsoConnection) -> SsoForm:
    """The form of a connection as it is."""
    return SsoForm(
        sso_url=connection.sso_url,
        idp_entity_id=connection.idp_entity_id,
        certificates="\n".join(each.strip() for each in connection.certificates),
        domains=", ".join(connection.domains),
        create_missing_users=connection.create_missing_users,
        etag=connection.etag,
    )


def of_fields(fields: Mapping[str, object]) -> SsoForm:
    """The form as it was sent."""

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
    """The certificates in a text, one after the other; a text without any stays one, to be refused.

    Entra also gives out the base64 alone; it is taken, too.
    """
    bodies = _bodies(text)
    if not bodies and text.strip() and _is_base64(text):
        bodies = [_without_blanks(text)]
    if not bodies:
        return [text] if text.strip() else []
    return [_pem(body) for body in bodies]


def thumbprints(certificates: Sequence[str]) -> list[str]:
    """What Entra shows as Thumbprint: SHA-1 of each certificate."""
    found = []
    for certificate in certificates:
        for body in _bodies(certificate)[:1]:
            if _is_base64(body):
                content = base64.b64decode(body)
                found.append(hashlib.sha1(content, usedforsecurity=False).hexdigest().upper())
    return found


def _bodies(text: str) -> list[str]:
    """The base64 of each certificate in PEM (RFC 7468 section 5), without blanks.

    The certificates come from people, and reading them has to stay linear in the text: each part
    of it is looked at once.
    """
    found = []
    for part in text.split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        body = _without_blanks(body)
        if end and _BASE64.fullmatch(body):
            found.append(body)
    return found


def _without_blanks(text: str) -> str:
    return "".join(text.split())


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(_without_blanks(text), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _pem(body: str) -> str:
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join((_BEGIN, *lines, _END, ""))
