r"""The text form of an API key.

    cak_us_ 22 characters  43 characters  6 characters
            key id         secret         checksum

Key id (128 bits) and secret (256 bits) are numbers in base 62, most significant digit first,
padded with `0`. The checksum is the CRC-32 of everything before it, in the same notation. It
detects a mistyped token without a database, and lets a secret scanner find only real tokens, by

    \bcak_(us|eu)_[0-9A-Za-z]{71}\b
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from chassis.errors import Refusal
from keysvc.domain.errors import KEY_MALFORMED
from keysvc.domain.organizations import Region

RandomBytes = Callable[[int], bytes]
"""Returns a number of cryptographically secure random bytes."""

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET_BYTES: Final = 32
LENGTH: Final = 78
_KEY_ID_DIGITS: Final = 22
_SECRET_DIGITS: Final = 43
_CHECKSUM_DIGITS: Final = 6
_FORM: Final = re.compile(
    "cak_(?P<region>us|eu)_(?P<key_id>[0-9A-Za-z]{22})(?P<secret>[0-9A-Za-z]{43})"
    "(?P<checksum>[0-9A-Za-z]{6})"
)
_VALUES: Final = {digit: value for value, digit in enumerate(ALPHABET)}


@dataclass(frozen=True, slots=True)
class Token:
    """The content of an API key's text. Only `text` shows the secret."""

    region: Region
    key_id: UUID
    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The text that clients send."""
        key_id = _to_base62(self.key_id.int, _KEY_ID_DIGITS)
        secret = _to_base62(int.from_bytes(self.secret), _SECRET_DIGITS)
        body = f"cak_{self.region}_{key_id}{secret}"
        return body + _checksum(body)

    @property
    def secret_digest(self) -> bytes:
        """The digest of the secret, which is stored instead of it.

        SHA-256 without a salt suffices: a secret of 256 random bits is in no dictionary.
        """
        return hashlib.sha256(self.secret).digest()


def generate(region: Region, random_bytes: RandomBytes) -> Token:
    """Create a new token."""
    return Token(region, UUID(bytes=random_bytes(16), version=4), random_bytes(SECRET_BYTES))


def parse(text: str) -> Token:
    """Parse the text of a token.

    Refuses (KEY_MALFORMED) every text that is not the `text` of a token. The length is checked
    first, so that a long text costs nothing.
    """
    match = _FORM.fullmatch(text) if len(text) == LENGTH else None
    if match is None:
        raise Refusal(KEY_MALFORMED)
    expected = _checksum(text[:-_CHECKSUM_DIGITS])
    if not hmac.compare_digest(match["checksum"], expected):
        raise Refusal(KEY_MALFORMED)
    key_id, secret = _from_base62(match["key_id"]), _from_base62(match["secret"])
    # 62^22 and 62^43 are a little more than 2^128 and 2^256.
    if key_id >> 128 or secret >> 256:
        raise Refusal(KEY_MALFORMED)
    return Token(Region(match["region"]), UUID(int=key_id), secret.to_bytes(SECRET_BYTES))


def _checksum(body: str) -> str:
    return _to_base62(zlib.crc32(body.encode("ascii")), _CHECKSUM_DIGITS)


def _to_base62(number: int, digits: int) -> str:
    text = []
    for _ in range(digits):
        number, value = divmod(number, 62)
        text.append(ALPHABET[value])
    return "".join(reversed(text))


def _from_base62(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 62 + _VALUES[digit]
    return number
