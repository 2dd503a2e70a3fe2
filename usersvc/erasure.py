"""Erasing a person: by what they are recognized, and how that is spelt in what was sent to us."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from usersvc.users import User

BACKUPS_KEPT: Final = timedelta(days=30)
"""How long a backup holds what was erased since; deploy/k8s keeps backups for as long."""
SHORTEST: Final = 3
"""A shorter name is looked for as a whole text only: inside others it would be everywhere."""

_ADDRESS: Final = re.compile(r'[^\s"<>,]+@[^\s"<>,]+')


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to be erased.

    `names` are this person's alone: ids, user names and addresses, those of before, too. `labels`
    others may share, as a full name; they count only where nothing is lost by one erased too many.
    """

    user_id: UUID | None
    names: frozenset[str] = field(repr=False)
    labels: frozenset[str] = field(repr=False, default=frozenset())


def stranger(user_id: UUID | None, names: Iterable[str]) -> Person:
    """A person whose user is not there, or no more: known by what the operator says."""
    known = {*names, str(user_id) if user_id else ""}
    return Person(user_id, frozenset(filter(None, known)))


def person(user: User, linked_to: str, former: Iterable[str], names: Iterable[str]) -> Person:
    """A user, with the values of before that the log has, and what the operator knows beside."""
    profile = user.profile
    known = {
        str(user.user_id), profile.user_name, profile.external_id, linked_to,
        *(email.value for email in profile.emails), *former_names(former), *names,
    }  # fmt: skip
    labels = {
        profile.display_name, profile.name.formatted,
        *(number.value for number in profile.phone_numbers),
    }  # fmt: skip
    return Person(user.user_id, frozenset(filter(None, known)), frozenset(filter(None, labels)))


def former_names(values: Iterable[str]) -> set[str]:
    """The names in logged values: an address wherever it stands, or the whole value."""
    return {name for value in values for name in _ADDRESS.findall(value) or [value]}


def pattern(names: Iterable[str]) -> str:
    """A regular expression of PostgreSQL for folded text that has one of the names as a word.

    It knows a name as it is, as JSON may escape it and as an address (URL) may encode it. The
    names have to be folded. Matches nothing if there is none that is long enough.
    """
    spelt = ["".join(map(_spelt, name)) for name in sorted(names) if len(name) >= SHORTEST]
    if not spelt:
        return "a^"
    return rf"(^|[^[:alnum:]]|%[0-9a-f]{{2}}|\\[bfnrt])({'|'.join(spelt)})($|[^[:alnum:]])"


def _spelt(character: str) -> str:
    """A character in all the ways in which clients write it; folding spares the escaped ones."""
    if character.isascii() and character.isalnum():
        return character
    ways = [character if character.isalnum() else f"\\{character}"]
    for variant in sorted({character, character.upper(), character.title()}):
        units = variant.encode("utf-16-be")
        ways.append("".join(rf"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)))
        ways.append("".join(f"%{byte:02x}" for byte in variant.encode()))
    if character == " ":
        ways.append(r"\+")
    if character in '"\\/':
        ways.append(rf"\\\{character}")
    return f"({'|'.join(ways)})"


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was done: rows by what they are, and whose other records still name the person."""

    user_id: UUID | None
    erased: dict[str, int]
    named_by_users: Sequence[UUID]
    named_by_groups: Sequence[UUID]
