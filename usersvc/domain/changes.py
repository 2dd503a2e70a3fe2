"""Changes: what happened to users, groups and members, and where a reader of them is."""

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

KEPT: Final = timedelta(days=30)
"""How long a change is told, and shown in the log."""
MAX_SHOWN: Final = 256
"""How many characters of a value the log shows."""


class ChangeType(IntEnum):
    """The kinds of changes, by the numbers that the table has for them."""

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
    """What led to a change: a request, and the API key that it came with, if any."""

    request_id: str
    key_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a user or group, or to the members of a group."""

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


@dataclass(frozen=True, slots=True)
class Difference:
    """The fields that an update gives other values, and these values as the log shows them."""

    fields: tuple[str, ...]
    old: tuple[str | None, ...] = ()
    new: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeCursor:
    """Up to where a reader of a feed has read.

    All up to `number` is dealt with, and of what comes behind it also what is `known`: a snapshot
    can show changes whose predecessors were not committed yet.
    """

    feed_id: UUID
    organization_id: UUID | None
    """None is all of them."""
    number: int
    known: frozenset[int] = frozenset()

    def after(self, number: int) -> "ChangeCursor":
        """The place behind a number, when all up to it is dealt with."""
        known = frozenset(each for each in self.known if each > number)
        return ChangeCursor(self.feed_id, self.organization_id, number, known)

    def token(self) -> str:
        """The place as callers keep it."""
        whole = [
            str(self.feed_id),
            str(self.organization_id or ""),
            self.number,
            *sorted(self.known),
        ]
        text = json.dumps(whole, separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def of_token(cls, token: str, organization_id: UUID | None) -> "ChangeCursor":
        """The place that a token of this organization names; refuses INVALID_CHANGE_TOKEN."""
        try:
            feed_id, organization, *numbers = json.loads(urlsafe_b64decode(token.encode("ascii")))
            if organization != str(organization_id or "") or not all(map(_is_number, numbers)):
                raise ValueError(organization)
            return cls(UUID(feed_id), organization_id, numbers[0], frozenset(numbers[1:]))
        except (
            ValueError, TypeError, AttributeError, IndexError, RecursionError, BinasciiError,
        ) as error:  # fmt: skip
            raise Refusal(INVALID_CHANGE_TOKEN) from error


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


# What changes in a user.

_SIMPLE: Final = tuple(
    each.name for each in fields(Profile) if each.name not in ("name", "enterprise", "extensions")
)
_NAME: Final = tuple(each.name for each in fields(Name))
_ENTERPRISE: Final = tuple(each.name for each in fields(EnterpriseUser))
_NOTHING: Final = Profile()


def given_fields(profile: Profile) -> tuple[str, ...]:
    """The fields of a new user that have a value."""
    return tuple(_differing(_NOTHING, profile))


def difference(old: Profile, new: Profile) -> Difference:
    """The fields in which two profiles of a user differ."""
    names = tuple(_differing(old, new))
    return Difference(
        names,
        tuple([_shown(old, name) for name in names]),
        tuple([_shown(new, name) for name in names]),
    )


def update_type(old: Profile, new: Profile) -> ChangeType:
    """What an update of a user is: whether the user may sign in says it first."""
    before, after = old.active is True, new.active is True
    if before is after:
        return ChangeType.USER_UPDATED
    return ChangeType.USER_ACTIVATED if after else ChangeType.USER_DEACTIVATED


def _differing(old: Profile, new: Profile) -> Iterator[str]:
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


def _shown(profile: Profile, field: str) -> str | None:
    value = profile.extensions.get(field) if ":" in field else _value(profile, field)
    if value is None or value in ("", ()):
        return None
    if not isinstance(value, str):
        value = json.dumps(value, default=_assigned, ensure_ascii=False)
    return value if len(value) <= MAX_SHOWN else value[: MAX_SHOWN - 1] + "…"


def _value(profile: Profile, field: str) -> object:
    part, _, inner = field.partition(".")
    value = getattr(profile, part)
    return getattr(value, inner) if inner else value


def _assigned(element: object) -> dict[str, object]:
    """An element of a list as what is assigned in it."""
    values = {each.name: getattr(element, each.name) for each in fields(element)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if value not in ("", None)}


# What changes in a group.


def given_group_fields(profile: GroupProfile, unknown: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of a new group that have a value."""
    return group_difference(GroupProfile(), (), profile, unknown).fields


def group_difference(
    old: GroupProfile, old_unknown: tuple[str, ...], new: GroupProfile, unknown: tuple[str, ...]
) -> Difference:
    """What differs in a group, apart from its members that are users and groups."""
    pairs = [
        (each.name, getattr(old, each.name), getattr(new, each.name))
        for each in fields(GroupProfile)
    ]
    pairs.append(("unknown_members", ", ".join(old_unknown), ", ".join(unknown)))
    differing = [pair for pair in pairs if pair[1] != pair[2]]
    return Difference(
        tuple([name for name, _, _ in differing]),
        tuple([before[:MAX_SHOWN] or None for _, before, _ in differing]),
        tuple([after[:MAX_SHOWN] or None for _, _, after in differing]),
    )
