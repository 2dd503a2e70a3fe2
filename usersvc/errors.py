"""What this service refuses, and which constraint of the database stands for which refusal."""

from collections.abc import Callable, Mapping
from typing import Final

from chassis.refusal import Code, InvalidField, InvalidPageToken, Refusal

__all__ = [
    "ChangesTrimmed",
    "EtagMismatch",
    "FieldImmutable",
    "FilterTooCostly",
    "GroupCycle",
    "GroupNotFound",
    "InvalidChangeToken",
    "InvalidField",
    "InvalidFilter",
    "InvalidPageToken",
    "MemberNotFound",
    "SchemaExists",
    "SchemaInUse",
    "SchemaNotFound",
    "SnapshotsBusy",
    "UnknownField",
    "UserNameTaken",
    "UserNotFound",
    "of_constraint",
]


class UserNotFound(Refusal):
    """No user of this organization has the id."""

    code = Code.NOT_FOUND
    reason = "USER_NOT_FOUND"

    def __init__(self, user_id: object) -> None:
        super().__init__(f"There is no user with the id {user_id}.", user_id=str(user_id))


class UserNameTaken(Refusal):
    """Another user of the organization has the user name."""

    code = Code.ALREADY_EXISTS
    reason = "USER_NAME_TAKEN"

    def __init__(self, user_name: str) -> None:
        super().__init__(
            f"Another user has the user name {user_name!r}; case makes no difference.",
            user_name=user_name,
        )


class GroupNotFound(Refusal):
    """No group of this organization has the id."""

    code = Code.NOT_FOUND
    reason = "GROUP_NOT_FOUND"

    def __init__(self, group_id: object) -> None:
        super().__init__(f"There is no group with the id {group_id}.", group_id=str(group_id))


class MemberNotFound(Refusal):
    """No user and no group of this organization has the id that shall become a member."""

    code = Code.INVALID_ARGUMENT
    reason = "MEMBER_NOT_FOUND"

    def __init__(self, member_id: object) -> None:
        super().__init__(
            f"There is no user and no group with the id {member_id} to become a member.",
            member_id=str(member_id),
        )


class GroupCycle(Refusal):
    """A group would become a member of itself, directly or through other groups."""

    code = Code.INVALID_ARGUMENT
    reason = "GROUP_CYCLE"

    def __init__(self, group_id: object, member_id: object) -> None:
        super().__init__(
            f"The group {member_id} cannot become a member of the group {group_id}:"
            " a group would be a member of itself.",
            group_id=str(group_id),
            member_id=str(member_id),
        )


class EtagMismatch(Refusal):
    """The user or group has changed since the version that the request names."""

    code = Code.ABORTED
    reason = "ETAG_MISMATCH"

    def __init__(self, current: str) -> None:
        super().__init__("It has changed since it was read; read it again.", etag=current)


class UnknownField(Refusal):
    """A filter, an order or an update mask names a field that it cannot name."""

    code = Code.INVALID_ARGUMENT
    reason = "UNKNOWN_FIELD"

    def __init__(self, field: str, where: str) -> None:
        super().__init__(f"{field!r} is no field that {where} can name.", field=field)


class InvalidFilter(Refusal):
    """A filter that is too large or compares what cannot be compared."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_FILTER"


class FilterTooCostly(Refusal):
    """A filter that no index serves, and that did not end in time."""

    code = Code.INVALID_ARGUMENT
    reason = "FILTER_TOO_COSTLY"

    def __init__(self) -> None:
        super().__init__("The filter looks at everything and did not end in time; ask for less.")


class FieldImmutable(Refusal):
    """A field that keeps its first value would get another."""

    code = Code.INVALID_ARGUMENT
    reason = "FIELD_IMMUTABLE"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} has a value and keeps it.", field=field)


class SchemaNotFound(Refusal):
    """The organization has no schema with that URN."""

    code = Code.NOT_FOUND
    reason = "SCHEMA_NOT_FOUND"

    def __init__(self, urn: str) -> None:
        super().__init__(f"There is no schema {urn}.", urn=urn)


class SchemaExists(Refusal):
    """The organization has a schema with that URN."""

    code = Code.ALREADY_EXISTS
    reason = "SCHEMA_EXISTS"

    def __init__(self, urn: str) -> None:
        super().__init__(f"There is a schema {urn}; case makes no difference.", urn=urn)


class SchemaInUse(Refusal):
    """Users have values for the schema."""

    code = Code.FAILED_PRECONDITION
    reason = "SCHEMA_IN_USE"

    def __init__(self, urn: str) -> None:
        super().__init__(f"Users have values for the schema {urn}.", urn=urn)


class InvalidChangeToken(Refusal):
    """A token that is none of this feed, or not of what it is used for."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_CHANGE_TOKEN"

    def __init__(self) -> None:
        super().__init__("The token leads nowhere here; take a snapshot and go on from its token.")


class ChangesTrimmed(Refusal):
    """The changes behind a token are no longer kept."""

    code = Code.OUT_OF_RANGE
    reason = "CHANGES_TRIMMED"

    def __init__(self) -> None:
        super().__init__(
            "The changes since this token are no longer kept; take a snapshot and go on from its"
            " token."
        )


class SnapshotsBusy(Refusal):
    """As many snapshots are being read as may be at once."""

    code = Code.UNAVAILABLE
    reason = "SNAPSHOTS_BUSY"

    def __init__(self) -> None:
        super().__init__("Too many snapshots are being read; try again.", retry_after_seconds=5.0)


_TOO_LONG: Final = "is longer than 2,000 bytes in UTF-8 with its case folded"

_OF_CONSTRAINT: Final[Mapping[str, Callable[[str], Refusal]]] = {
    "users_user_name_key": UserNameTaken,
    "users_user_name_size": lambda _: InvalidField("user_name", _TOO_LONG),
    "users_external_id_size": lambda _: InvalidField("external_id", _TOO_LONG),
    "users_display_name_size": lambda _: InvalidField("display_name", _TOO_LONG),
    "groups_external_id_size": lambda _: InvalidField("external_id", _TOO_LONG),
    "groups_display_name_size": lambda _: InvalidField("display_name", _TOO_LONG),
    "group_groups_self": lambda group_id: GroupCycle(group_id, group_id),
}


def of_constraint(name: str | None, named: str) -> Refusal | None:
    """What to refuse with when the database refused; None for a fault of ours.

    A user is named by its user name, a group by its id.
    """
    refusal = _OF_CONSTRAINT.get(name or "")
    return refusal(named) if refusal else None
