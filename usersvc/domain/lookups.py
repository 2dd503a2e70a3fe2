"""Lookups of several users at once, by user names and external ids."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from usersvc.domain.filters import Comparison, Operator, Query
from usersvc.domain.users import User

MAX_USERS: Final = 1_000
"""The maximum number of ids or keys in one request."""
MAX_MATCHES: Final = 10
"""The maximum number of users returned for one external id."""


class KeyKind(Enum):
    """The field that a key is compared with."""

    USER_NAME = auto()
    """Compared without regard to case."""
    EXTERNAL_ID = auto()


@dataclass(frozen=True, slots=True)
class UserKey:
    """A value of a unique or selective field, by which users are found."""

    kind: KeyKind
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """The users that match a key. `more` is true if further users match."""

    key: UserKey
    users: tuple[User, ...] = ()
    more: bool = False


_KINDS: Final = {"user_name": KeyKind.USER_NAME, "external_id": KeyKind.EXTERNAL_ID}


def key_in_query(query: Query) -> UserKey | None:
    """The key of a query that only compares one key field for equality, else None.

    Identity providers look up users like this. The order is ignored, because few users match.
    """
    match query:
        case Query(
            filter=Comparison(("user_name" | "external_id") as name, Operator.EQUAL, str(text)),
            after=None,
            skip=0,
        ):
            return UserKey(_KINDS[name], text)
        case _:
            return None
