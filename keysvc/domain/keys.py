"""API keys: values and rules."""

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from chassis.errors import Refusal
from keysvc.domain.audit import Actor, check_author
from keysvc.domain.errors import INTEGRATION_INACTIVE, KEY_EXPIRED, KEY_REVOKED, KEY_UNKNOWN

GRACE_PERIOD: Final = timedelta(hours=8)
"""How long older keys work after a newer one is generated.

Entra calls every 40 minutes, and people may paste the new key into it hours later.
"""

USE_PRECISION: Final = timedelta(minutes=1)
"""The precision of a key's last use. A finer one would make every request a write."""

_NO_DIGEST: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its secret."""

    organization_id: UUID
    key_id: UUID
    create_time: datetime
    created_by: str
    created_by_name: str
    expire_time: datetime | None
    revoke_time: datetime | None
    revoked_by: str
    revoked_by_name: str
    last_used_time: datetime | None
    last_used_address: str

    def should_record_use(self, now: datetime) -> bool:
        """Whether a use at this time has to be recorded.

        The first use after a newer key was generated is always recorded: it shows that the old key
        is still in use.
        """
        used = self.last_used_time
        if used is None or now - used >= USE_PRECISION:
            return True
        return self.expire_time is not None and used < self.expire_time - GRACE_PERIOD <= now


NO_KEY: Final = "none"
"""The value of `newest_key_id` for an organization without keys."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is to be created, and its author."""

    key_id: UUID
    secret_digest: bytes = field(repr=False)
    created_by: str
    actor: Actor
    newest_key_id: str = ""
    """The expected newest key, or NO_KEY; empty if any is allowed."""

    def __post_init__(self) -> None:
        check_author("created_by", self.created_by)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """The key with the id of a token, and the data that authentication needs."""

    key: Key
    secret_digest: bytes = field(repr=False)
    integration_active: bool


def authenticate(stored_key: StoredKey | None, secret_digest: bytes, now: datetime) -> Key:
    """Check the secret and the state of a key. A key has expired at exactly `expire_time`.

    Refuses, in this order: KEY_UNKNOWN, KEY_REVOKED, KEY_EXPIRED, INTEGRATION_INACTIVE. KEY_UNKNOWN
    does not distinguish a wrong secret from a missing key. The others name the organization,
    which a caller with the right secret may know.
    """
    stored = stored_key.secret_digest if stored_key else _NO_DIGEST
    if not hmac.compare_digest(stored, secret_digest) or stored_key is None:
        raise Refusal(KEY_UNKNOWN)
    key = stored_key.key
    if key.revoke_time is not None:
        raise Refusal(KEY_REVOKED, key.organization_id, key.key_id, key.revoke_time)
    if key.expire_time is not None and key.expire_time <= now:
        raise Refusal(KEY_EXPIRED, key.organization_id, key.key_id, key.expire_time)
    if not stored_key.integration_active:
        raise Refusal(INTEGRATION_INACTIVE, key.organization_id, key.key_id)
    return key
