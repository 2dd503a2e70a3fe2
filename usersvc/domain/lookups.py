"""What users are found by, several at once."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from usersvc.domain.filters import Comparison, Operator, Query
from usersvc.domain.users import User

MAX_USERS: Final = 1_000
"""How many ids or keys one request may name."""
MAX_MATCHES: Final = 10
"""How many users with one external id are told."""


class KeyKind(Enum):
    """What a key is compared with."""

    USER_NAME = auto()
    """Without regard to case."""
    EXTERNAL_ID = auto()


@dataclass(frozen=True, slots=True)
class UserKey:
    """What users are found by."""

    kind: KeyKind
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """The users that a key finds; `more` when they are not all of them."""

    key: UserKey
    users: tuple[User, ...] = ()
    more: bool = False


_KINDS: Final = {"user_name": KeyKind.USER_NAME, "external_id": KeyKind.EXTERNAL_ID}


def key_of(query: Query) -> UserKey | None:
    """The key that a query asks for, as identity providers do to find somebody, if it does.

    Whatever its order: those that it finds are few.
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
