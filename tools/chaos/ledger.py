"""The ledger: the state that acknowledged requests require and pending requests allow."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from uuid import uuid4

from tools.entra.client import Resource
from tools.entra.groups import Group
from tools.entra.mapping import Value, differences, returned_values
from tools.entra.people import Person, person

SEED = 1


class Existence(Enum):
    """Whether a resource exists, as far as responses tell."""

    EXISTS = "exists"
    DELETED = "deleted"
    UNKNOWN = "unknown"


@dataclass
class Account:
    """One person, and every state that the responses so far allow."""

    person: Person
    user_id: str = ""
    existence: Existence = Existence.UNKNOWN
    was_sent: bool = False
    """Whether an unacknowledged POST was sent."""
    delete_was_sent: bool = False
    """Whether an unacknowledged DELETE was sent."""
    values: dict[str, set[Value | None]] = field(default_factory=dict)
    """The permitted values of each attribute that changes."""

    def __post_init__(self) -> None:
        self.values = {"active": {True}, "title": {self.person.title}}

    def faults(self, resource: Resource) -> Iterator[str]:
        """The errors in a response that should have this person."""
        if resource["id"] != self.user_id or resource["userName"] != self.person.user_name:
            yield "the response has another person's data"
            return
        for path in differences(self.person, resource).keys() - self.values.keys():
            yield f"{path} is not what was sent"
        actual = returned_values(resource)
        for path, allowed in self.values.items():
            if actual.get(path) not in allowed:
                yield f"{path} is not what was acknowledged last"


@dataclass
class Team:
    """One group and its permitted members."""

    group: Group
    group_id: str = ""
    existence: Existence = Existence.UNKNOWN
    was_sent: bool = False
    members: dict[str, set[bool]] = field(default_factory=dict)
    """The permitted membership states by user id. Other users must not be members."""


class Ledger:
    """All people and groups ever sent; names are never reused."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.accounts: list[Account] = []
        self.teams: list[Team] = []

    def new_account(self) -> Account:
        """A new person in the directory."""
        self.accounts.append(Account(person(next(self._numbers), SEED)))
        return self.accounts[-1]

    def new_team(self) -> Team:
        """A new group in the directory."""
        name = f"Team {next(self._numbers)}"
        self.teams.append(Team(Group(name, str(uuid4()))))
        return self.teams[-1]
