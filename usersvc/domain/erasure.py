"""Erasure of a person: the texts that identify the person, and how to find them in stored data."""

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

BACKUP_RETENTION: Final = timedelta(days=30)
"""How long backups still contain erased data. The retention of backups in deploy/k8s is equal."""
MIN_WORD_LENGTH: Final = 3
"""The minimum length of a name to match inside a longer text. Shorter ones match only whole texts,
because inside texts they would match too often."""

_BETWEEN_ADDRESSES: Final = re.compile(r'[\s"<>,]+')
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Person:
    """The person to erase.

    `names` identify only this person: current and former ids, user names and addresses. Other
    people may share the `labels`, such as a full name. Labels are used only where erasing one text
    too many does no harm.
    """

    user_id: UUID | None
    names: frozenset[str] = field(repr=False)
    labels: frozenset[str] = field(repr=False, default=frozenset())


def unknown_person(user_id: UUID | None, names: Iterable[str]) -> Person:
    """The person without a user, or whose user was deleted, with names from the operator."""
    identifiers = {*names, str(user_id) if user_id else ""}
    return Person(user_id, frozenset(filter(None, identifiers)))


def person_of(user: User, linked_to: str, former: Iterable[str], names: Iterable[str]) -> Person:
    """The person of a user, with former values from the log and names from the operator."""
    profile = user.profile
    identifiers = {
        str(user.user_id), profile.user_name, profile.external_id, linked_to,
        *(email.value for email in profile.emails), *former_names(former), *names,
    }  # fmt: skip
    labels = {
        profile.display_name, profile.name.formatted,
        *(number.value for number in profile.phone_numbers),
    }  # fmt: skip
    return Person(
        user.user_id, frozenset(filter(None, identifiers)), frozenset(filter(None, labels))
    )


def former_names(values: Iterable[str]) -> set[str]:
    """The names in logged values: the addresses in a value, or else the whole value."""
    return {name for value in values for name in _addresses(value) or [value]}


def _addresses(text: str) -> list[str]:
    """The words of a text that contain an @ between other characters."""
    return [word for word in _BETWEEN_ADDRESSES.split(text) if "@" in word[1:-1]]


def spellings(names: Iterable[str]) -> list[str]:
    """The names of at least MIN_WORD_LENGTH, as plain text and escaped as in our own JSON.

    Our JSON escapes only the characters that JSON requires.
    """
    long = [name for name in names if len(name) >= MIN_WORD_LENGTH]
    return sorted({*long, *(json.dumps(name, ensure_ascii=False)[1:-1] for name in long)})


def is_named(text: str, names: Iterable[str]) -> bool:
    """Whether a text equals a name or contains it as a word, without regard to case and escapes."""
    folded = {fold(name) for name in names}
    return any(
        decoding == name or (len(name) >= MIN_WORD_LENGTH and _has_word(decoding, name))
        for decoding in _decodings(text)
        for name in folded
    )


def _decodings(text: str) -> set[str]:
    """The text as it is, decoded from JSON and decoded from a URL, all case-folded."""
    decodings = {text, unquote(text), unquote_plus(text), _unescaped(text)}
    return {fold(decoding) for decoding in decodings}


def _unescaped(text: str) -> str:
    """Decode the JSON escapes in a text, including surrogate pairs."""
    units = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _has_word(text: str, name: str) -> bool:
    start = text.find(name)
    while start >= 0:
        end = start + len(name)
        if not text[max(start - 1, 0) : start].isalnum() and not text[end : end + 1].isalnum():
            return True
        start = text.find(name, start + 1)
    return False


@dataclass(frozen=True, slots=True)
class Erasure:
    """The result of an erasure: erased rows by kind, and the records that still name the person."""

    user_id: UUID | None
    erased: dict[str, int]
    named_by_users: Sequence[UUID]
    named_by_groups: Sequence[UUID]
