"""Groups: their values and their rules."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField, Refusal
from usersvc.domain import limits as texts
from usersvc.domain.errors import UNKNOWN_FIELD

MAX_CHANGED_MEMBERS: Final = 100_000
"""How many members one request may name."""
MAX_UNKNOWN_MEMBERS: Final = 1_000
"""How many ids that nobody has a group keeps."""
MAX_UNKNOWN_BYTES: Final = 200
EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class GroupProfile:
    """All of a group that its organization decides, apart from its members."""

    display_name: str = ""
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A set of users and groups; `version` grows with every change of it or of its members.

    `unknown` are the ids of members that nobody has, sorted.
    """

    organization_id: UUID
    group_id: UUID
    version: int
    create_time: datetime
    update_time: datetime
    profile: GroupProfile
    unknown: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        """The version as callers know it."""
        return str(self.version)


class MemberKind(Enum):
    """What a member is."""

    USER = "user"
    GROUP = "group"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Member:
    """A direct member of a group; of a user without a display name, the user name is shown."""

    member_id: str
    kind: MemberKind
    display_name: str


@dataclass(frozen=True, slots=True)
class MemberView:
    """Which members a write returns: all of them, if they are at most `max_members`."""

    max_members: int
    named: bool


@dataclass(frozen=True, slots=True)
class WrittenGroup:
    """A group after a write, and its members in this version, if they were asked for."""

    group: Group
    members: tuple[Member, ...] | None = None


@dataclass(frozen=True, slots=True)
class MemberChange:
    """Members to remove, then members to add; `clear` removes all that are not added.

    `remove` and `add` are UUIDs in their usual form in lower case. They stay text, because a
    change may name 100,000 of them, and `UUID` objects take ten times the time to make, compare
    and write. `remove_texts` and `add_texts` are ids that can be nobody's. With `keep_unknown`
    they are added as they are, and so is an id to add that nobody has.
    """

    clear: bool = False
    remove: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    keep_unknown: bool = False
    remove_texts: tuple[str, ...] = ()
    add_texts: tuple[str, ...] = ()


MASK_PATHS: Final = frozenset({*(field.name for field in fields(GroupProfile)), EVERYTHING})


def apply(profile: GroupProfile, new: GroupProfile, mask: Iterable[str]) -> GroupProfile:
    """The profile with the fields that the mask names as they are in `new`.

    Refuses (UNKNOWN_FIELD) a path that names nothing that may be changed.
    """
    paths = tuple(mask)
    for path in paths:
        if path not in MASK_PATHS:
            raise Refusal(UNKNOWN_FIELD, path, "an update mask", "update_mask")
    if EVERYTHING in paths:
        return new
    return replace(profile, **{path: getattr(new, path) for path in paths})


def check(profile: GroupProfile) -> None:
    """Refuse (InvalidField) a profile that lacks a display name or passes a limit."""
    if not profile.display_name:
        raise InvalidField("display_name", "is required")
    texts.check("display_name", profile.display_name, texts.MAX_KEY_BYTES)
    texts.check("external_id", profile.external_id, texts.MAX_KEY_BYTES)


def unknown_after(
    unknown: tuple[str, ...], change: MemberChange, nobodies: Iterable[str]
) -> tuple[str, ...]:
    """The unknown members after a change, of whose ids to add some turned out to be nobody's.

    Refuses (InvalidField) too many of them, and too long ones.
    """
    kept = set() if change.clear else {*unknown}
    if kept:
        kept.difference_update(change.remove_texts, change.remove)
    kept.update(change.add_texts, nobodies)
    if len(kept) > MAX_UNKNOWN_MEMBERS:
        raise InvalidField("members", f"names more than {MAX_UNKNOWN_MEMBERS:,} ids of nobody")
    for text in kept:
        texts.check("members", text, MAX_UNKNOWN_BYTES)
    return tuple(sorted(kept))


def check_count(field: str, count: int) -> None:
    """Refuse (InvalidField) to change too many members at once."""
    if count > MAX_CHANGED_MEMBERS:
        raise InvalidField(field, f"names more than {MAX_CHANGED_MEMBERS:,} members")
