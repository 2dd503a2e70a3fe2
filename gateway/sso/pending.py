"""The sign-in that a browser has begun, sealed into a cookie until its response comes.

The cookie binds a response to the browser that asked for it. It is needed
when the identity provider's page posts to us from another site, so it cannot
be SameSite=Lax.
"""

import base64
import binascii
import hmac
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import orjson

LIFETIME: Final = timedelta(minutes=10)
MAX_CHARACTERS: Final = 3_500
MAX_PATH_CHARACTERS: Final = 500

_SEAL_BYTES: Final = 32
_PURPOSE: Final = b"cloudacademy gateway.sso pending sign-in"


@dataclass(frozen=True, slots=True)
class Trial:
    """The administrator who tests a connection, and the version of it that is tested."""

    etag: str
    user_id: str
    user_name: str


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """What has to be known when the response comes."""

    organization_id: str
    request_id: str
    relay_state: str
    after: str
    """The path of ours to go to afterwards, or nothing."""
    expire_time: datetime
    trial: Trial | None = None


class PendingSignIns:
    """Seals and opens pending sign-ins with a key of the region's gateways."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")

    def seal(self, pending: PendingSignIn) -> str:
        """The cookie's value."""
        content = orjson.dumps(
            asdict(pending) | {"expire_time": int(pending.expire_time.timestamp())}
        )
        return _encoded(self._seal(content) + content)

    def open(self, cookie: str, now: datetime) -> PendingSignIn | None:
        """The pending sign-in of a cookie; None for any that is not ours or is over."""
        sealed = _decoded(cookie)
        seal, content = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(content)):
            return None
        document = orjson.loads(content)
        trial = document.pop("trial")
        end = datetime.fromtimestamp(document.pop("expire_time"), UTC)
        if now >= end:
            return None
        return PendingSignIn(**document, expire_time=end, trial=Trial(**trial) if trial else None)

    def _seal(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")


def own_path(text: str) -> str:
    """The text if it is a path of ours, else nothing: no redirect leads elsewhere.

    Browsers read `\\` as `/` and skip tabs and newlines, so neither may occur.
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
