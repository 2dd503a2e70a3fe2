"""What this service refuses, and which constraint of the database stands for which refusal."""

from collections.abc import Callable, Mapping
from typing import Final

from chassis.errors import Code, FieldViolation, InvalidField, InvalidPageToken, Refusal

__all__ = [
    "ActivityNotFound",
    "AssertionReplayed",
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
    "RequestIdReused",
    "SchemaExists",
    "SchemaInUse",
    "SchemaNotFound",
    "SessionEnded",
    "SignInAmbiguous",
    "SignInConflict",
    "SignInLinkInvalid",
    "SignInUnknown",
    "SnapshotsBusy",
    "UnknownField",
    "UserDeleted",
    "UserInactive",
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
        detail = f"There is no user and no group with the id {member_id} to become a member."
        super().__init__(
            detail,
            violations=(FieldViolation("members", detail),),
            member_id=str(member_id),
        )


class GroupCycle(Refusal):
    """A group would become a member of itself, directly or through other groups."""

    code = Code.INVALID_ARGUMENT
    reason = "GROUP_CYCLE"

    def __init__(self, group_id: object, member_id: object) -> None:
        detail = (
            f"The group {member_id} cannot become a member of the group {group_id}:"
            " a group would be a member of itself."
        )
        super().__init__(
            detail,
            violations=(FieldViolation("members", detail),),
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
        detail = f"{field!r} is no field that {where} can name."
        place = {"an order": "order_by", "an update mask": "update_mask"}.get(where, "filter")
        super().__init__(detail, violations=(FieldViolation(place, detail),), field=field)


class InvalidFilter(Refusal):
    """A filter that is too large or compares what cannot be compared."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_FILTER"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, violations=(FieldViolation("filter", detail),))


class FilterTooCostly(Refusal):
    """A filter that no index serves, and that did not end in time."""

    code = Code.INVALID_ARGUMENT
    reason = "FILTER_TOO_COSTLY"

    def __init__(self) -> None:
        detail = "The filter looks at everything and did not end in time; ask for less."
        super().__init__(detail, violations=(FieldViolation("filter", detail),))


class CountTooCostly(Refusal):
    """The log has too many entries to count them in time."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "COUNT_TOO_COSTLY"

    def __init__(self) -> None:
        detail = "The log has too many entries to count them in time."
        super().__init__(detail, retry_after_seconds=60.0)


class FieldImmutable(Refusal):
    """A field that keeps its first value would get another."""

    code = Code.INVALID_ARGUMENT
    reason = "FIELD_IMMUTABLE"

    def __init__(self, field: str) -> None:
        super().__init__(
            f"{field} has a value and keeps it.",
            violations=(FieldViolation(field, "has a value and keeps it"),),
            field=field,
        )


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


class ActivityNotFound(Refusal):
    """The log of this organization has no entry with the id."""

    code = Code.NOT_FOUND
    reason = "ACTIVITY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("The log has no entry with this id; entries are kept for 30 days.")


class SessionEnded(Refusal):
    """The session has ended, or there never was one."""

    code = Code.UNAUTHENTICATED
    reason = "SESSION_ENDED"

    def __init__(self) -> None:
        super().__init__("The session has ended. Sign in again.")


class SignInLinkInvalid(Refusal):
    """The sign-in link is unknown, was used, or is over."""

    code = Code.UNAUTHENTICATED
    reason = "SIGN_IN_LINK_INVALID"

    def __init__(self) -> None:
        super().__init__(
            "This sign-in link does not work: it was used before, or is older than 15 minutes. "
            "Ask for a new one."
        )


class UserInactive(Refusal):
    """The user may not sign in."""

    code = Code.PERMISSION_DENIED
    reason = "USER_INACTIVE"

    def __init__(self) -> None:
        super().__init__("This user may not sign in: the account is not active.")


class UserDeleted(Refusal):
    """Provisioning deleted the person, who would be created again by signing in."""

    code = Code.PERMISSION_DENIED
    reason = "USER_INACTIVE"

    def __init__(self) -> None:
        super().__init__(
            "This person may not sign in: the account was removed by provisioning. Provision the "
            "person again."
        )


class AssertionReplayed(Refusal):
    """The assertion was used before."""

    code = Code.UNAUTHENTICATED
    reason = "ASSERTION_REPLAYED"

    def __init__(self) -> None:
        super().__init__("This sign-in was used before. Sign in again.")


class SignInAmbiguous(Refusal):
    """Several users have the object identifier."""

    code = Code.FAILED_PRECONDITION
    reason = "SIGN_IN_AMBIGUOUS"

    def __init__(self) -> None:
        super().__init__(
            "Several users have this object identifier as external id. Remove all but the one "
            "that shall sign in."
        )


class SignInConflict(Refusal):
    """The user who would sign in is somebody else to the identity provider."""

    code = Code.FAILED_PRECONDITION
    reason = "SIGN_IN_CONFLICT"

    def __init__(self) -> None:
        super().__init__(
            "The user with this e-mail address or link has another object identifier than the one "
            "that signs in, and may be somebody else. Provision the object identifier as external "
            "id, or remove the user."
        )


class SignInUnknown(Refusal):
    """Nobody matches, and nobody is created."""

    code = Code.PERMISSION_DENIED
    reason = "SIGN_IN_UNKNOWN"

    def __init__(self) -> None:
        super().__init__(
            "No user has this object identifier or e-mail address. Assign the person to the "
            "application at the identity provider."
        )


class InvalidChangeToken(Refusal):
    """A token that is none of this feed, or not of what it is used for."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_CHANGE_TOKEN"

    def __init__(self) -> None:
        super().__init__(
            "The token leads nowhere here; take a snapshot and go on from its token.",
            violations=(FieldViolation("token", "is none of this feed"),),
        )


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


class RequestIdReused(Refusal):
    """Another request of the organization had the id that makes this one safe to repeat."""

    code = Code.ALREADY_EXISTS
    reason = "REQUEST_ID_REUSED"

    def __init__(self, request_id: object) -> None:
        super().__init__(
            f"Another request had the request id {request_id}; make a new one for each.",
            request_id=str(request_id),
        )


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
