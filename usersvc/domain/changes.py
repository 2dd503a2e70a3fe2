"""Changes of users, groups and memberships, and the cursor of a change feed's reader."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final
from uuid import UUID

from chassis.errors import Refusal
from usersvc.domain.errors import INVALID_CHANGE_TOKEN
from usersvc.domain.groups import GroupProfile
from usersvc.domain.users import EnterpriseUser, Name, Profile

RETENTION: Final = timedelta(days=30)
"""How long the change feed and the provisioning log keep a change."""
FIRST_TIMED: Final = 2**36
"""The first number that begins with the time (docs/adr/0026)."""
MAX_LOGGED_CHARACTERS: Final = 256
"""The log keeps this many characters of a value."""


def fingerprint(resource_id: UUID, create_time: datetime) -> int:
    """A value below `FIRST_TIMED` that another change with the same number would hardly have.

    After a failover that lost changes, their numbers are given to other changes.
    """
    return (resource_id.int ^ int(create_time.timestamp() * 1_000_000)) % FIRST_TIMED


class ChangeType(IntEnum):
    """The types of changes. The numbers are those of the `changes` table."""

    USER_CREATED = 1
    USER_UPDATED = 2
    USER_ACTIVATED = 3
    USER_DEACTIVATED = 4
    USER_DELETED = 5
    GROUP_CREATED = 6
    GROUP_UPDATED = 7
    GROUP_DELETED = 8
    MEMBERS_ADDED = 9
    MEMBERS_REMOVED = 10


@dataclass(frozen=True, slots=True)
class Origin:
    """The cause of a change: a request, and the API key that authenticated it, if any."""

    request_id: str
    key_id: UUID | None = None
    client: str = ""
    """The name of the client application, for the log only."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a user, of a group, or of a group's members."""

    organization_id: UUID
    number: int
    type: ChangeType
    resource_id: UUID
    version: int | None
    fields: tuple[str, ...]
    active: bool
    user_ids: tuple[UUID, ...]
    group_ids: tuple[UUID, ...]
    create_time: datetime
    request_id: str


def position(change: Change) -> tuple[int, int | None]:
    """The number of a change, and its fingerprint if the number begins with the time."""
    if change.number < FIRST_TIMED:
        return change.number, None
    return change.number, fingerprint(change.resource_id, change.create_time)


@dataclass(frozen=True, slots=True)
class Difference:
    """The fields that an update changes, with their old and new values as the log shows them."""

    fields: tuple[str, ...]
    old: tuple[str | None, ...] = ()
    new: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeCursor:
    """The position of a reader in a change feed.

    The reader has every change up to `number`. Of the later changes it has those in `seen`: a
    snapshot can contain changes whose predecessors were not committed yet.
    """

    feed_id: UUID
    organization_id: UUID | None
    """None stands for all organizations."""
    number: int
    seen: frozenset[int] = frozenset()
    fingerprint: int | None = None
    """The fingerprint of the change with `number`; None if there is no such change."""

    def after(self, number: int, fingerprint: int | None) -> "ChangeCursor":
        """The cursor of a reader that has every change up to `number`."""
        seen = frozenset(later for later in self.seen if later > number)
        return ChangeCursor(self.feed_id, self.organization_id, number, seen, fingerprint)

    def token(self) -> str:
        """Encode the cursor as an opaque text for callers."""
        parts = [
            str(self.feed_id),
            str(self.organization_id or ""),
            self.number,
            *([] if self.fingerprint is None else [self.fingerprint]),
            *sorted(self.seen),
        ]
        text = json.dumps(parts, separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def from_token(cls, token: str, organization_id: UUID | None) -> "ChangeCursor":
        """Decode a token. Refuses INVALID_CHANGE_TOKEN, also for another organization's token."""
        try:
            feed_id, organization, *numbers = json.loads(urlsafe_b64decode(token.encode("ascii")))
            if organization != str(organization_id or "") or not all(map(_is_number, numbers)):
                raise ValueError(organization)
            return cls(UUID(feed_id), organization_id, *_position(*numbers))
        except (
            ValueError, TypeError, AttributeError, IndexError, RecursionError, BinasciiError,
        ) as error:  # fmt: skip
            raise Refusal(INVALID_CHANGE_TOKEN) from error


def _position(number: int, *others: int) -> tuple[int, frozenset[int], int | None]:
    """The number, the seen numbers and the fingerprint in a token.

    The fingerprint is below a timed number and the seen numbers are above it. Releases without
    fingerprints read it as a seen number, which has no effect below the position.
    """
    if number < FIRST_TIMED or not others or others[0] >= FIRST_TIMED:
        return number, frozenset(others), None
    return number, frozenset(others[1:]), others[0]


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


# --- changes of users -------------------------------------------------------------------

_SIMPLE: Final = tuple(
    each.name for each in fields(Profile) if each.name not in ("name", "enterprise", "extensions")
)
_NAME: Final = tuple(each.name for each in fields(Name))
_ENTERPRISE: Final = tuple(each.name for each in fields(EnterpriseUser))
_EMPTY: Final = Profile()


def assigned_fields(profile: Profile) -> tuple[str, ...]:
    """The fields of a new user that have a value."""
    return tuple(_changed_fields(_EMPTY, profile))


def difference(old: Profile, new: Profile) -> Difference:
    """The fields in which two profiles of a user differ."""
    names = tuple(_changed_fields(old, new))
    return Difference(
        names,
        tuple([_logged_value(old, name) for name in names]),
        tuple([_logged_value(new, name) for name in names]),
    )


def update_type(old: Profile, new: Profile) -> ChangeType:
    """The type of an update. A changed `active` outranks all other fields."""
    before, after = old.active is True, new.active is True
    if before is after:
        return ChangeType.USER_UPDATED
    return ChangeType.USER_ACTIVATED if after else ChangeType.USER_DEACTIVATED


def _changed_fields(old: Profile, new: Profile) -> Iterator[str]:
    yield from _names(old, new, _SIMPLE)
    if old.name != new.name:
        yield from (f"name.{name}" for name in _names(old.name, new.name, _NAME))
    if old.enterprise != new.enterprise:
        inner = _names(old.enterprise, new.enterprise, _ENTERPRISE)
        yield from (f"enterprise.{name}" for name in inner)
    if old.extensions != new.extensions:
        for urn in sorted(old.extensions.keys() | new.extensions.keys()):
            if old.extensions.get(urn) != new.extensions.get(urn):
                yield urn


def _names(old: object, new: object, names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if getattr(old, name) != getattr(new, name))


def _logged_value(profile: Profile, field: str) -> str | None:
    value = profile.extensions.get(field) if ":" in field else _value(profile, field)
    if value is None or value in ("", ()):
        return None
    if not isinstance(value, str):
        value = json.dumps(value, default=_assigned_parts, ensure_ascii=False)
    return (
        value if len(value) <= MAX_LOGGED_CHARACTERS else value[: MAX_LOGGED_CHARACTERS - 1] + "…"
    )


def _value(profile: Profile, field: str) -> object:
    part, _, inner = field.partition(".")
    value = getattr(profile, part)
    return getattr(value, inner) if inner else value


def _assigned_parts(element: object) -> dict[str, object]:
    """The assigned parts of a list element."""
    values = {each.name: getattr(element, each.name) for each in fields(element)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if value not in ("", None)}


# --- changes of groups ------------------------------------------------------------------


def assigned_group_fields(profile: GroupProfile, unknown: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of a new group that have a value."""
    return group_difference(GroupProfile(), (), profile, unknown).fields


def group_difference(
    old: GroupProfile, old_unknown: tuple[str, ...], new: GroupProfile, unknown: tuple[str, ...]
) -> Difference:
    """The fields in which two states of a group differ. Of the members, only unknown ones count."""
    pairs = [
        (each.name, getattr(old, each.name), getattr(new, each.name))
        for each in fields(GroupProfile)
    ]
    pairs.append(("unknown_members", ", ".join(old_unknown), ", ".join(unknown)))
    differing = [pair for pair in pairs if pair[1] != pair[2]]
    return Difference(
        tuple([name for name, _, _ in differing]),
        tuple([before[:MAX_LOGGED_CHARACTERS] or None for _, before, _ in differing]),
        tuple([after[:MAX_LOGGED_CHARACTERS] or None for _, _, after in differing]),
    )
