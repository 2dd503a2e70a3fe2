"""What this service refuses, and which constraint of the database stands for which refusal."""

from collections.abc import Callable, Mapping
from typing import Final

from chassis.refusal import Code, InvalidField, InvalidPageToken, Refusal

__all__ = [
    "EtagMismatch",
    "InvalidField",
    "InvalidFilter",
    "InvalidPageToken",
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


class EtagMismatch(Refusal):
    """The user has changed since the version that the request names."""

    code = Code.ABORTED
    reason = "ETAG_MISMATCH"

    def __init__(self, current: str) -> None:
        super().__init__("The user has changed since it was read; read it again.", etag=current)


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


_TOO_LONG: Final = "is longer than 2,000 bytes in UTF-8 with its case folded"

_OF_CONSTRAINT: Final[Mapping[str, Callable[[str], Refusal]]] = {
    "users_user_name_key": UserNameTaken,
    "users_user_name_size": lambda _: InvalidField("user_name", _TOO_LONG),
    "users_external_id_size": lambda _: InvalidField("external_id", _TOO_LONG),
    "users_display_name_size": lambda _: InvalidField("display_name", _TOO_LONG),
}


def of_constraint(name: str | None, user_name: str) -> Refusal | None:
    """What to refuse a user with that the database refused; None for a fault of ours."""
    refusal = _OF_CONSTRAINT.get(name or "")
    return refusal(user_name) if refusal else None
