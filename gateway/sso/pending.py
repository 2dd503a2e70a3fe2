"""A sign-in that waits for the identity provider's response, stored in a signed cookie.

The cookie binds a response to the browser that started the sign-in. The identity provider's page
posts the response from another site, so the cookie cannot be SameSite=Lax.
"""

import base64
import binascii
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import orjson

from gateway.signing.shared_secrets import SharedSecrets

LIFETIME: Final = timedelta(minutes=10)
MAX_CHARACTERS: Final = 3_500
MAX_PATH_CHARACTERS: Final = 500

_SIGNATURE_BYTES: Final = 32
_PURPOSE: Final = b"cloudacademy gateway.sso pending sign-in"


@dataclass(frozen=True, slots=True)
class Trial:
    """A test sign-in: the administrator who runs it, and the tested version of the connection."""

    etag: str
    user_id: str
    user_name: str


@dataclass(frozen=True, slots=True)
class ReplacedSession:
    """The session that the browser had when the sign-in started; the sign-in ends it."""

    organization_id: str
    session_id: str
    """Its id, which grants nothing; not its token."""


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """The state of a sign-in, which is needed when the response arrives."""

    organization_id: str
    request_id: str
    relay_state: str
    after: str
    """The local path to redirect to afterwards, or an empty string."""
    expire_time: datetime
    trial: Trial | None = None
    replaced: ReplacedSession | None = None


class PendingSignIns:
    """Signs and verifies pending sign-ins with secrets that all gateways of the region share."""

    def __init__(self, secrets: SharedSecrets) -> None:
        self._signer = secrets.signer(_PURPOSE)

    def sign(self, pending: PendingSignIn) -> str:
        """The value of the cookie."""
        content = orjson.dumps(
            asdict(pending) | {"expire_time": int(pending.expire_time.timestamp())}
        )
        return _encoded(self._signer.sign(content) + content)

    def verify(self, cookie: str, now: datetime) -> PendingSignIn | None:
        """The pending sign-in in a cookie; None if the signature is invalid or it has expired."""
        signed = _decoded(cookie)
        signature, content = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
        if not self._signer.verify(content, signature):
            return None
        document = orjson.loads(content)
        trial, replaced = document.pop("trial"), document.pop("replaced", None)
        end = datetime.fromtimestamp(document.pop("expire_time"), UTC)
        if now >= end:
            return None
        return PendingSignIn(
            **document,
            expire_time=end,
            trial=Trial(**trial) if trial else None,
            replaced=ReplacedSession(**replaced) if replaced else None,
        )


def local_path(text: str) -> str:
    """The text if it is a local path, else an empty string, to prevent open redirects.

    Browsers read `\\` as `/` and skip tabs and newlines, so these characters are refused.
    """
    parts = urlsplit(text)
    is_plain = text.isascii() and text.isprintable() and not set(text) & set('\\ "<>')
    is_own = text.startswith("/") and not text.startswith("//") and not parts.netloc
    return text if is_plain and is_own and len(text) <= MAX_PATH_CHARACTERS else ""


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(cookie: str) -> bytes:
    if len(cookie) > MAX_CHARACTERS or not cookie.isascii():
        return b""
    try:
        padded = cookie + "=" * (-len(cookie) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error:
        return b""
