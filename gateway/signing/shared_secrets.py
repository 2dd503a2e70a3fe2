"""Secrets that all gateways of a region share: they sign cursors, forms and cookies."""

import hmac
from dataclasses import dataclass, field
from typing import Final

MAX_SECRETS: Final = 3
"""The signing secret, the next one, and one more while a leaked secret is replaced."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with the newest of its keys and accepts the signatures of all of them."""

    keys: tuple[bytes, ...] = field(repr=False)

    def sign(self, message: bytes, size: int = 32) -> bytes:
        """The signature of a message: the first `size` bytes of an HMAC-SHA256."""
        return _signature(self.keys[0], message, size)

    def verify(self, message: bytes, signature: bytes, size: int = 32) -> bool:
        """Whether one of the keys has signed a message, compared in constant time."""
        return any(
            hmac.compare_digest(_signature(key, message, size), signature) for key in self.keys
        )


@dataclass(frozen=True, slots=True)
class SharedSecrets:
    """The secrets in the order of the settings: the first signs, and all are accepted.

    A secret is rotated without an outage in three steps: every gateway accepts the new one, then
    it signs, then the old one is removed. Gateways at adjacent steps accept each other's
    signatures.
    """

    values: tuple[bytes, ...] = field(repr=False)

    def signer(self, purpose: bytes) -> Signer:
        """A signer whose signatures are valid for one purpose only."""
        return Signer(tuple(hmac.digest(each, purpose, "sha256") for each in self.values))

    def cursor_signer(self) -> Signer:
        """The signer of cursors, whose keys are the secrets themselves.

        Earlier releases sign cursors so. Keys of all other purposes are derived, and no message of
        a cursor equals a purpose, so no signature of one kind is valid as another.
        """
        return Signer(self.values)


def _signature(key: bytes, message: bytes, size: int) -> bytes:
    return hmac.digest(key, message, "sha256")[:size]
