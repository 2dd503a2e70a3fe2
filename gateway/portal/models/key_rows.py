"""API keys as rows of the integration page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from cloudacademy.keys.v1.keys_pb2 import Key

from gateway.portal.models.times import duration, to_datetime

GRACE_HOURS: Final = 8


class KeyState(StrEnum):
    """The state of an API key."""

    ACTIVE = "Active"
    EXPIRING = "Expiring"
    EXPIRED = "Expired"
    REVOKED = "Revoked"


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key, with its texts."""

    id: str
    name: str
    state: KeyState
    state_text: str
    end_time: datetime | None
    """When the key expires or expired, or was revoked."""
    created: datetime
    created_by: str
    last_used: datetime | None
    last_used_from: str
    revoked_by: str
    is_in_use: bool
    """Whether an old key was used after the newest was created, and the newest not since."""

    @property
    def works(self) -> bool:
        """Whether requests with this key are accepted."""
        return self.state in (KeyState.ACTIVE, KeyState.EXPIRING)


def key_name(key_id: str) -> str:
    """A short name: the end of the id, since ids of the same day share their beginning."""
    return f"…{key_id[-6:]}"


def key_rows(keys: Sequence[Key], names: Mapping[str, str], now: datetime) -> list[KeyRow]:
    """The rows of an organization's keys, which are given newest first."""
    newest = next((key for key in keys if not key.HasField("revoke_time")), None)
    return [_row(key, names, now, newest) for key in keys]


def _row(key: Key, names: Mapping[str, str], now: datetime, newest: Key | None) -> KeyRow:
    state, text, end = _state(key, now)
    last_used = to_datetime(key.last_used_time) if key.HasField("last_used_time") else None
    works = state in (KeyState.ACTIVE, KeyState.EXPIRING)
    return KeyRow(
        id=key.id,
        name=key_name(key.id),
        state=state,
        state_text=text,
        end_time=end,
        created=to_datetime(key.create_time),
        created_by=key.created_by_name or names.get(key.created_by, key.created_by),
        last_used=last_used,
        last_used_from=key.last_used_address,
        revoked_by=key.revoked_by_name or names.get(key.revoked_by, key.revoked_by),
        is_in_use=works and _is_used_instead_of(newest, key),
    )


def _is_used_instead_of(newest: Key | None, key: Key) -> bool:
    """Whether a client still uses an old key although there is a newer one."""
    if newest is None or key.id == newest.id or not key.HasField("last_used_time"):
        return False
    used = to_datetime(key.last_used_time)
    if used <= to_datetime(newest.create_time):
        return False
    return not newest.HasField("last_used_time") or to_datetime(newest.last_used_time) < used


def _state(key: Key, now: datetime) -> tuple[KeyState, str, datetime | None]:
    if key.HasField("revoke_time"):
        return KeyState.REVOKED, "Revoked", to_datetime(key.revoke_time)
    if not key.HasField("expire_time"):
        return KeyState.ACTIVE, "Active", None
    end = to_datetime(key.expire_time)
    if now >= end:
        return KeyState.EXPIRED, "Expired", end
    return KeyState.EXPIRING, f"Expires in {duration(end - now)}", end
