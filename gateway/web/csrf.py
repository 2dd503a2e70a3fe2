"""CSRF protection: form tokens bound to the session (OWASP: signed double-submit cookie)."""

import base64
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

CSRF_FIELD: Final = "form_token"
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

    def __init__(self, secret: bytes) -> None:
        # A derived key, so that no other value signed with the secret is accepted as a form token.
        self._secret = hmac.digest(secret, b"portal forms", "sha256")

    def create(self, binding: str, purpose: str = "") -> str:
        """The token for a form."""
        message = f"{binding}\0{purpose}".encode()
        digest = hmac.digest(self._secret, message, "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def verify(self, token: str, binding: str, purpose: str = "") -> bool:
        """Whether the token was created for this session and purpose; False without a session."""
        expected = self.create(binding, purpose).encode()
        return bool(binding) and hmac.compare_digest(token.encode(), expected)


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
