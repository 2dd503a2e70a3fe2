"""The text form of bearer tokens: the token of a session or of a sign-in link.

    22 characters    .  43 characters
    organization id     secret

Both parts are URL-safe base64 without padding. Every lookup begins with the organization id, which
is not secret. The secret has 256 random bits, so no dictionary attack is possible and a plain
SHA-256 digest is safe to store.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

RandomBytes = Callable[[int], bytes]
"""Returns the given number of unpredictable bytes."""

SECRET_BYTES: Final = 32
_FORM: Final = re.compile("(?P<organization>[0-9A-Za-z_-]{22})[.](?P<secret>[0-9A-Za-z_-]{43})")


@dataclass(frozen=True, slots=True)
class Token:
    """The content of a token. Only `text` reveals the secret."""

    organization_id: UUID
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The token as its holder sends it."""
        return f"{_to_text(self.organization_id.bytes)}.{_to_text(self.secret)}"

    @property
    def secret_digest(self) -> bytes:
        """The digest that the database stores instead of the secret."""
        return hashlib.sha256(self.secret).digest()


def generate(organization_id: UUID, random_bytes: RandomBytes) -> Token:
    """Create a new, unique token."""
    return Token(organization_id, random_bytes(SECRET_BYTES))


def parse(text: str) -> Token | None:
    """Parse a token. Returns None for any text that `Token.text` cannot produce."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    token = Token(UUID(bytes=_to_bytes(match["organization"])), _to_bytes(match["secret"]))
    # The last base64 character of each part has unused bits: accept only canonical base64.
    return token if token.text == text else None


def _to_text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _to_bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
