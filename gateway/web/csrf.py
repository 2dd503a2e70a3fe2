"""CSRF protection: form tokens bound to the session (OWASP: signed double-submit cookie)."""

import base64
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

CSRF_FIELD: Final = "form_token"
FORM_TYPE: Final = "application/x-www-form-urlencoded"
MAX_FORM_BYTES: Final = 128 * 1024
"""Five certificates of 20,000 characters each, which keysvc takes, are 115,000 bytes in a form."""
MAX_FIELDS: Final = 32
MAX_ESCAPES: Final = 16 * 1024
"""How many %XX a form holds at most: each costs a hundred times what a plain character does.

In base64 of random bytes, two of 64 characters are escaped, and two more of each line's 66: of
100,000 characters of certificates not 7,000.
"""


class FormTokens:
    """Makes and checks the tokens in forms, each bound to a session and to what it is for."""

    def __init__(self, secret: bytes) -> None:
        # Derived, so that no seal of another kind passes for one of these.
        self._secret = hmac.digest(secret, b"portal forms", "sha256")

    def create(self, binding: str, purpose: str = "") -> str:
        """The token of a form."""
        message = f"{binding}\0{purpose}".encode()
        digest = hmac.digest(self._secret, message, "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def verify(self, token: str, binding: str, purpose: str = "") -> bool:
        """Whether a token is one that was made for this."""
        expected = self.create(binding, purpose).encode()
        return bool(binding) and hmac.compare_digest(token.encode(), expected)


def parse_form(body: bytes) -> Mapping[str, str]:
    """The fields of a form, the first of each name. Refuses (ValueError) what is none."""
    check_escapes(body, MAX_ESCAPES)
    fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    return dict(reversed(fields))


def check_escapes(body: bytes, limit: int) -> None:
    """Refuse (ValueError) a form with more escapes than our forms have, before it is decoded."""
    if body.count(b"%") > limit:
        raise ValueError("The form has too many percent-escapes.")


def is_form(headers: Mapping[str, str]) -> bool:
    """Whether a request says that its body is a form (RFC 9110 section 8.3.1).

    aiohttp's `content_type` is not asked: it uses the parser of e-mail headers, which takes
    quadratic time: half a second for 8 KiB of quotation marks.
    """
    return headers.get("Content-Type", "").partition(";")[0].strip().lower() == FORM_TYPE


def is_same_origin(headers: Mapping[str, str], host: str) -> bool:
    """Whether a browser sent a request from a page of ours.

    What the browser says of it is believed; browsers that say nothing are left
    to the form's token.
    """
    site = headers.get("Sec-Fetch-Site", "same-origin")
    if site not in ("same-origin", "none"):
        return False
    origin = headers.get("Origin")
    try:
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:  # brackets without an address
        return False
