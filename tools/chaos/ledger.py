"""What was acknowledged, and so must be; what may be; and what must not."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from uuid import uuid4

from tools.entra.client import Resource
from tools.entra.groups import Group
from tools.entra.mapping import Value, differences, found
from tools.entra.people import Person, person

SEED = 1


class Life(Enum):
    """Whether something is there, as far as answers tell."""

    THERE = "there"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass
class Account:
    """One person, and every state of theirs that the answers so far allow."""

    person: Person
    user_id: str = ""
    life: Life = Life.UNKNOWN
    was_sent: bool = False
    """Whether a POST was sent that nobody has acknowledged."""
    leaves: bool = False
    """Whether a DELETE was sent that nobody has acknowledged."""
    values: dict[str, set[Value | None]] = field(default_factory=dict)
    """The values that may be there, of the attributes that change."""

    def __post_init__(self) -> None:
        self.values = {"active": {True}, "title": {self.person.title}}

    def faults(self, resource: Resource) -> Iterator[str]:
        """What is wrong with an answer that shall be this person."""
        if resource["id"] != self.user_id or resource["userName"] != self.person.user_name:
            yield "another's data was answered"
            return
        for path in differences(self.person, resource).keys() - self.values.keys():
            yield f"{path} is not what was sent"
        actual = found(resource)
        for path, allowed in self.values.items():
            if actual.get(path) not in allowed:
                yield f"{path} is not what was acknowledged last"


@dataclass
class Team:
    """One group, and who may be in it."""

    group: Group
    group_id: str = ""
    life: Life = Life.UNKNOWN
    was_sent: bool = False
    members: dict[str, set[bool]] = field(default_factory=dict)
    """Whether a user is in it, by id: every answer that is allowed. Others are not in it."""


class Ledger:
    """Everybody and everything that was ever sent; names are never used again."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.accounts: list[Account] = []
        self.teams: list[Team] = []

    def new_account(self) -> Account:
        """Somebody new in the directory."""
        self.accounts.append(Account(person(next(self._numbers), SEED)))
        return self.accounts[-1]

    def new_team(self) -> Team:
        """A new group in the directory."""
        name = f"Team {next(self._numbers)}"
        self.teams.append(Team(Group(name, str(uuid4()))))
        return self.teams[-1]
