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
"""How long older keys work after a new one: Entra calls every 40 minutes, and people paste late."""

USE_PRECISION: Final = timedelta(minutes=1)
"""How exactly a key's last use is known; finer would make every request a write."""

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

    def use_is_news(self, now: datetime) -> bool:
        """Whether a use now is worth writing down.

        The first one after a newer key came always is: it tells that the old one
        is still in use.
        """
        used = self.last_used_time
        if used is None or now - used >= USE_PRECISION:
            return True
        return self.expire_time is not None and used < self.expire_time - GRACE_PERIOD <= now


NO_KEY: Final = "none"
"""How a caller says that there is no key yet."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be, and who has it made."""

    key_id: UUID
    secret_digest: bytes = field(repr=False)
    created_by: str
    actor: Actor
    after: str = ""
    """The newest key that there may be, by its id, or NO_KEY; any when empty."""

    def __post_init__(self) -> None:
        check_author("created_by", self.created_by)


@dataclass(frozen=True, slots=True)
class Candidate:
    """The key that a token names, and what decides whether the token may use it."""

    key: Key
    secret_digest: bytes = field(repr=False)
    integration_active: bool


def admit(candidate: Candidate | None, secret_digest: bytes, now: datetime) -> Key:
    """The key whose secret was shown.

    At exactly `expire_time` a key has ended. Refuses, in this order:
    KEY_UNKNOWN, which does not tell a wrong secret from a key that is not
    there; KEY_REVOKED, KEY_EXPIRED, INTEGRATION_INACTIVE. These three say whose
    key it is, since the one who shows its secret may know.
    """
    known = candidate.secret_digest if candidate else _NO_DIGEST
    if not hmac.compare_digest(known, secret_digest) or candidate is None:
        raise Refusal(KEY_UNKNOWN)
    key = candidate.key
    if key.revoke_time is not None:
        raise Refusal(KEY_REVOKED, key.organization_id, key.key_id, key.revoke_time)
    if key.expire_time is not None and key.expire_time <= now:
        raise Refusal(KEY_EXPIRED, key.organization_id, key.key_id, key.expire_time)
    if not candidate.integration_active:
        raise Refusal(INTEGRATION_INACTIVE, key.organization_id, key.key_id)
    return key
