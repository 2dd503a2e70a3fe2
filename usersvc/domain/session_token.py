"""The text form of what lets somebody in: the token of a session or of a sign-in link.

    22 characters    .  43 characters
    organization id     secret

Both are URL-safe base64 without padding. The organization's id lets each look-up
begin with it; it is no secret. The secret has 256 random bits, so that SHA-256
is enough for what is kept of it: no dictionary holds them.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

RandomBytes = Callable[[int], bytes]
"""Makes so many bytes that nobody can guess."""

SECRET_BYTES: Final = 32
_FORM: Final = re.compile("(?P<organization>[0-9A-Za-z_-]{22})[.](?P<secret>[0-9A-Za-z_-]{43})")


@dataclass(frozen=True, slots=True)
class Token:
    """What a token's text says. Only `text` shows the secret."""

    organization_id: UUID
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The token as its holder sends it."""
        return f"{_to_text(self.organization_id.bytes)}.{_to_text(self.secret)}"

    @property
    def secret_digest(self) -> bytes:
        """What is kept of the secret."""
        return hashlib.sha256(self.secret).digest()


def generate(organization_id: UUID, random_bytes: RandomBytes) -> Token:
    """A token that never was before."""
    return Token(organization_id, random_bytes(SECRET_BYTES))


def parse(text: str) -> Token | None:
    """Read a token; None for any text that `Token.text` cannot have made."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    token = Token(UUID(bytes=_to_bytes(match["organization"])), _to_bytes(match["secret"]))
    # The last character of each part has bits to spare: only one spelling is ours.
    return token if token.text == text else None


def _to_text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _to_bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
