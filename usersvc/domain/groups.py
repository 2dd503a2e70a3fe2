"""Groups and their members: values and rules."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from chassis.errors import InvalidField, Refusal
from usersvc.domain import limits
from usersvc.domain.errors import UNKNOWN_FIELD

MAX_CHANGED_MEMBERS: Final = 100_000
"""The maximum number of members in one request."""
MAX_UNKNOWN_MEMBERS: Final = 1_000
"""The maximum number of unknown members of a group: ids that belong to no user and no group."""
MAX_UNKNOWN_BYTES: Final = 200
EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class GroupProfile:
    """The fields of a group that its organization sets, without the members."""

    display_name: str = ""
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A set of users and groups. `version` grows with every change of the group or its members.

    `unknown` holds the sorted ids of members that belong to no user and no group.
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
        """The version as an opaque text for callers."""
        return str(self.version)


class MemberKind(Enum):
    """The kind of a member."""

    USER = "user"
    GROUP = "group"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Member:
    """A direct member of a group. A user without a display name shows the user name."""

    member_id: str
    kind: MemberKind
    display_name: str


@dataclass(frozen=True, slots=True)
class MemberView:
    """A request to return the members after a write, unless there are more than `max_members`."""

    max_members: int
    named: bool


@dataclass(frozen=True, slots=True)
class WrittenGroup:
    """A group after a write, and the members of this version, if they were requested."""

    group: Group
    members: tuple[Member, ...] | None = None


@dataclass(frozen=True, slots=True)
class MemberChange:
    """Members to remove, then members to add. `clear` removes all members that are not added.

    `remove` and `add` are UUIDs in canonical lower-case form. They stay text, because a change may
    name 100,000 of them, and `UUID` objects take ten times as long to create, compare and write.
    `remove_texts` and `add_texts` are the ids that are not UUIDs. With `keep_unknown`, ids to add
    that belong to no user and no group become unknown members; otherwise they are refused.
    """

    clear: bool = False
    remove: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    keep_unknown: bool = False
    remove_texts: tuple[str, ...] = ()
    add_texts: tuple[str, ...] = ()


MASK_PATHS: Final = frozenset({*(field.name for field in fields(GroupProfile)), EVERYTHING})


def apply(profile: GroupProfile, new: GroupProfile, mask: Iterable[str]) -> GroupProfile:
    """Replace the fields that the mask names by those in `new`.

    Refuses (UNKNOWN_FIELD) a path that names no writable field.
    """
    paths = tuple(mask)
    for path in paths:
        if path not in MASK_PATHS:
            raise Refusal(UNKNOWN_FIELD, path, "an update mask", "update_mask")
    if EVERYTHING in paths:
        return new
    return replace(profile, **{path: getattr(new, path) for path in paths})


def check(profile: GroupProfile) -> None:
    """Refuse (InvalidField) a profile that lacks a display name or exceeds a limit."""
    if not profile.display_name:
        raise InvalidField("display_name", "is required")
    limits.check("display_name", profile.display_name, limits.MAX_KEY_BYTES)
    limits.check("external_id", profile.external_id, limits.MAX_KEY_BYTES)


def unknown_members_after(
    unknown: tuple[str, ...], change: MemberChange, unknown_ids: Iterable[str]
) -> tuple[str, ...]:
    """The unknown members after a change. `unknown_ids` are the added UUIDs that match nothing.

    Refuses (InvalidField) too many unknown members, and ids that are too long.
    """
    kept = set() if change.clear else {*unknown}
    if kept:
        kept.difference_update(change.remove_texts, change.remove)
    kept.update(change.add_texts, unknown_ids)
    if len(kept) > MAX_UNKNOWN_MEMBERS:
        raise InvalidField("members", f"names more than {MAX_UNKNOWN_MEMBERS:,} unknown ids")
    for text in kept:
        limits.check("members", text, MAX_UNKNOWN_BYTES)
    return tuple(sorted(kept))


def check_count(field: str, count: int) -> None:
    """Refuse (InvalidField) a change of too many members at once."""
    if count > MAX_CHANGED_MEMBERS:
        raise InvalidField(field, f"names more than {MAX_CHANGED_MEMBERS:,} members")
