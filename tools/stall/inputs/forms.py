"""Forms at their limits: values for fields that are parsed, and raw forms."""

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus

from tools.stall.inputs.texts import PEM_BEGIN, PEM_END, TEXTS, Text, repeated


def encoded(text: str) -> bytes:
    """A form-encoded value."""
    return quote_plus(text.encode(errors="surrogateescape"), safe="-!/").encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


FORM_TEXTS: Final[Mapping[str, Text]] = {
    "a certificate of spaces": TEXTS["a certificate of spaces"],
    "a certificate of line ends": TEXTS["a certificate of line ends"],
    "certificates without an end": TEXTS["certificates without an end"],
    "certificates": lambda n: f"{PEM_BEGIN}\nQUFB\n{PEM_END}\n" * (n // 60),
    "commas": repeated(","),
    "domains": repeated("a.b,"),
    "hyphens": repeated("a-"),
    "unassigned": TEXTS["unassigned"],
    "base64": repeated("QUFB"),
    "elements in base64": lambda n: _base64(b"<a>" * (n // 4)),
    "nested XML in base64": lambda n: _base64(b"<a>" * (n // 12) + b"</a>" * (n // 12)),
    "attributes in base64": lambda n: _base64(
        b"<a " + b" ".join(b'x%d="y"' % m for m in range(n // 16)) + b"/>"
    ),
    "letters": repeated("a"),
}


RAW_FORMS: Final[Mapping[str, bytes]] = {
    "many fields of a form": b"a&",
    "many fields with values": b"a=b&",
    "escapes in a form": b"%41",
    "truncated escapes in a form": b"%4",
    "plus signs in a form": b"+",
    "equals signs in a form": b"=",
}
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "/settings/integrations/sso/": ("certificates", "domains", "sso_url", "idp_entity_id"),
    "/login/link": ("token",),
    "/login/enterprise/": ("email", "next"),
    "/login/enterprise/confirm": ("organization", "next", "replaces"),
    "/login/link/confirm": ("token",),
    "/labs/social/complete/saml/": ("RelayState", "SAMLResponse"),
}
"""The parsed fields of forms, by path."""
