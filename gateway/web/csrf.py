"""CSRF protection: form tokens bound to the session (OWASP: signed double-submit cookie)."""

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from gateway.signing.shared_secrets import SharedSecrets

CSRF_FIELD: Final = "form_token"
TOKEN_CHARACTERS: Final = 43
"""The length of a token: 32 bytes in base64 without padding."""
FORM_TYPE: Final = "application/x-www-form-urlencoded"
MAX_FORM_BYTES: Final = 128 * 1024
"""keysvc accepts five certificates of 20,000 characters, which take 115,000 bytes in a form."""
MAX_FIELDS: Final = 32
MAX_ESCAPES: Final = 16 * 1024
"""The maximum number of %XX escapes in a form. Decoding one costs as much as 100 plain characters.

In base64 of random bytes, 2 in 64 characters are escaped, and with line breaks another 2 in 66.
For 100,000 characters of certificates that is less than 7,000 escapes.
"""


class FormTokens:
    """Creates and verifies form tokens. A token is bound to a session and to a purpose."""

    def __init__(self, secrets: SharedSecrets) -> None:
        self._signer = secrets.signer(b"portal forms")

    def create(self, binding: str, purpose: str = "") -> str:
        """The token for a form."""
        return _encoded(self._signer.sign(_message(binding, purpose)))

    def verify(self, token: str, binding: str, purpose: str = "") -> bool:
        """Whether the token was created for this session and purpose; False without a session."""
        return bool(binding) and self._signer.verify(_message(binding, purpose), _decoded(token))


def _message(binding: str, purpose: str) -> bytes:
    return f"{binding}\0{purpose}".encode()


def _encoded(signature: bytes) -> str:
    return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


def _decoded(token: str) -> bytes:
    """The signature in a token; empty for text that is no token, which no signature equals."""
    if len(token) != TOKEN_CHARACTERS:
        return b""
    try:
        signature = base64.b64decode(token.encode("ascii") + b"=", altchars=b"-_", validate=True)
    except ValueError:  # not ASCII, or not base64
        return b""
    return signature if _encoded(signature) == token else b""


def parse_form(body: bytes) -> Mapping[str, str]:
    """The fields of a form; the first value wins. Raises ValueError if the body is not a form."""
    check_escapes(body, MAX_ESCAPES)
    fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    return dict(reversed(fields))


def check_escapes(body: bytes, limit: int) -> None:
    """Raise ValueError, before decoding, if a form has more escapes than our forms need."""
    if body.count(b"%") > limit:
        raise ValueError("The form has too many percent-escapes.")


def is_form(headers: Mapping[str, str]) -> bool:
    """Whether the Content-Type is that of a form (RFC 9110 section 8.3.1).

    aiohttp's `content_type` is not used: its parser for e-mail headers takes quadratic time, half
    a second for 8 KiB of quotation marks.
    """
    return headers.get("Content-Type", "").partition(";")[0].strip().lower() == FORM_TYPE


def is_same_origin(headers: Mapping[str, str], host: str) -> bool:
    """Whether a request comes from one of our own pages, by Sec-Fetch-Site and Origin.

    Requests without these headers are accepted here; the form token still protects them.
    """
    site = headers.get("Sec-Fetch-Site", "same-origin")
    if site not in ("same-origin", "none"):
        return False
    origin = headers.get("Origin")
    try:
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:  # unbalanced brackets
        return False
