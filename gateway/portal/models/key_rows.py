"""API keys as the page lists them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from cloudacademy.keys.v1.keys_pb2 import Key

from gateway.portal.models.times import duration, to_datetime

GRACE_HOURS: Final = 8


class KeyState(StrEnum):
    """What a key is."""

    ACTIVE = "Active"
    ENDING = "Ending"
    ENDED = "Ended"
    REVOKED = "Revoked"


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key, in the words of the page."""

    id: str
    name: str
    state: KeyState
    state_text: str
    end: datetime | None
    created: datetime
    created_by: str
    last_used: datetime | None
    last_used_from: str
    revoked_by: str
    is_in_use: bool
    """Whether its last use was after a newer key was there, and that one was not used since."""

    @property
    def works(self) -> bool:
        """Whether requests with it are let in."""
        return self.state in (KeyState.ACTIVE, KeyState.ENDING)


def key_name(key_id: str) -> str:
    """How people tell keys apart: the end of the id, since all ids of a day begin alike."""
    return f"…{key_id[-6:]}"


def key_rows(keys: Sequence[Key], names: Mapping[str, str], now: datetime) -> list[KeyRow]:
    """The keys of an organization, newest first as they come."""
    newest = next((key for key in keys if not key.HasField("revoke_time")), None)
    return [_row(key, names, now, newest) for key in keys]


def _row(key: Key, names: Mapping[str, str], now: datetime, newest: Key | None) -> KeyRow:
    state, text, end = _state(key, now)
    last_used = to_datetime(key.last_used_time) if key.HasField("last_used_time") else None
    works = state in (KeyState.ACTIVE, KeyState.ENDING)
    return KeyRow(
        id=key.id,
        name=key_name(key.id),
        state=state,
        state_text=text,
        end=end,
        created=to_datetime(key.create_time),
        created_by=key.created_by_name or names.get(key.created_by, key.created_by),
        last_used=last_used,
        last_used_from=key.last_used_address,
        revoked_by=key.revoked_by_name or names.get(key.revoked_by, key.revoked_by),
        is_in_use=works and _is_used_instead(key, newest),
    )


def _is_used_instead(key: Key, newest: Key | None) -> bool:
    """Whether somebody goes on with a key although there is a newer one."""
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
        return KeyState.ENDED, "Ended", end
    return KeyState.ENDING, f"Ends in {duration(end - now)}", end
