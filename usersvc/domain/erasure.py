"""Erasing a person: by what they are recognized, and how that is spelt in what was sent to us."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import unquote, unquote_plus
from uuid import UUID

from usersvc.domain.case_folding import fold
from usersvc.domain.users import User

BACKUPS_KEPT: Final = timedelta(days=30)
"""How long a backup holds what was erased since; deploy/k8s keeps backups for as long."""
SHORTEST: Final = 3
"""A shorter name is looked for as a whole text only: inside others it would be everywhere."""

_BETWEEN_ADDRESSES: Final = re.compile(r'[\s"<>,]+')
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)


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
    return {name for value in values for name in _addresses(value) or [value]}


def _addresses(text: str) -> list[str]:
    """The words of a text that have an @ inside."""
    return [word for word in _BETWEEN_ADDRESSES.split(text) if "@" in word[1:-1]]


def spellings(names: Iterable[str]) -> list[str]:
    """How names that are long enough stand in JSON of ours, which escapes as little as it may."""
    long = [name for name in names if len(name) >= SHORTEST]
    return sorted({*long, *(json.dumps(name, ensure_ascii=False)[1:-1] for name in long)})


def is_named(text: str, names: Iterable[str]) -> bool:
    """Whether a text has one of the names as a word, or is it, however it was written."""
    folded = {fold(name) for name in names}
    return any(
        reading == name or (len(name) >= SHORTEST and _has_word(reading, name))
        for reading in _readings(text)
        for name in folded
    )


def _readings(text: str) -> set[str]:
    """A text as it is, as JSON and as a part of an address (URL), in one case."""
    readings = {text, unquote(text), unquote_plus(text), _unescaped(text)}
    return {fold(reading) for reading in readings}


def _unescaped(text: str) -> str:
    """What escapes of JSON stand for, pairs of surrogates included."""
    units = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _has_word(text: str, name: str) -> bool:
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        if not text[max(at - 1, 0) : at].isalnum() and not text[end : end + 1].isalnum():
            return True
        at = text.find(name, at + 1)
    return False


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was done: rows by what they are, and whose other records still name the person."""

    user_id: UUID | None
    erased: dict[str, int]
    named_by_users: Sequence[UUID]
    named_by_groups: Sequence[UUID]
