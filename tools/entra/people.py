"""Generates people and changes to them. The same seed gives the same people and changes."""

import random
import re
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

GIVEN_NAMES = (
    "Ann", "Zoë", "José", "Łukasz", "Björn", "Aoife", "Chloé", "Søren", "Ngọc", "Mary Jo",
    "Jean-Luc", "Ümit", "Anaïs", "Tomáš", "Priya", "Kwame", "Ioana", "Étienne", "Мария", "健太",
)  # fmt: skip
FAMILY_NAMES = (
    "Li", "O'Brien", "D'Angelo", "Müller", "Núñez", "van der Berg", "Şahin", "Ødegård", "Novák",
    "Smith-Jones", "García", "Nguyễn", "Wójcik", "Lindström", "Okafor", "Șerban", "Иванова", "田中",
    "N'Diaye", "MacDonald",
)  # fmt: skip
DEPARTMENTS = ("Research & Development", "Sales", "Vertrieb/Süd", "People", "Cloud Platform")
TITLES = ("Engineer", "Head of Learning", 'Consultant "DevOps"', "Analyst", "Chargé d'affaires")


@dataclass(frozen=True, slots=True)
class Person:
    """A person in the directory; None is an empty attribute."""

    number: int
    user_name: str
    external_id: str
    given_name: str
    family_name: str
    title: str | None = None
    department: str | None = None
    email: str | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a directory after its initial cycle; people have their new values.

    Restored and deleted people are among the disabled: Entra purges only soft-deleted people.
    """

    updated: tuple[Person, ...]
    disabled: tuple[Person, ...]
    restored: tuple[Person, ...]
    deleted: tuple[Person, ...]
    joined: tuple[Person, ...]


def directory(count: int, seed: int) -> tuple[Person, ...]:
    """The people numbered 0 to count - 1, all active."""
    return tuple(person(number, seed) for number in range(count))


def person(number: int, seed: int) -> Person:
    """One person; all values depend only on the number and the seed."""
    rng = random.Random(f"person {seed} {number}")
    given_name, family_name = rng.choice(GIVEN_NAMES), rng.choice(FAMILY_NAMES)
    user_name = _user_name(given_name, family_name, number, seed, rng)
    return Person(
        number=number,
        user_name=user_name,
        external_id=_external_id(user_name, seed, rng),
        given_name=given_name,
        family_name=family_name,
        title=rng.choice(TITLES) if rng.random() < 0.4 else None,
        department=rng.choice(DEPARTMENTS) if rng.random() < 0.5 else None,
        email=user_name if rng.random() < 0.6 else None,
    )


def generate_changes(people: Sequence[Person], seed: int) -> Changes:
    """About 10 % updated, 3 % disabled (a third of them restored, a third deleted), 1 % joined."""
    rng = random.Random(f"changes {seed}")
    shuffled = rng.sample(people, len(people))
    leaving, staying = _split(shuffled, max(3, _share(people, 3)))
    disabled = tuple(replace(leaver, active=False) for leaver in leaving)
    third = len(disabled) // 3
    return Changes(
        updated=tuple(_changed(each, seed, rng) for each in staying[: _share(people, 10)]),
        disabled=disabled,
        restored=tuple(replace(each, active=True) for each in disabled[:third]),
        deleted=disabled[third : 2 * third],
        joined=tuple(person(len(people) + i, seed) for i in range(_share(people, 1))),
    )


def apply_changes(people: Sequence[Person], changes: Changes) -> dict[int, Person]:
    """The people in the directory after the changes, by number."""
    current = {each.number: each for each in people}
    for each in (*changes.updated, *changes.disabled, *changes.restored, *changes.joined):
        current[each.number] = each
    for each in changes.deleted:
        del current[each.number]
    return current


def renamed(people: Sequence[Person], changes: Changes) -> list[Person]:
    """The updated people with their old values, as far as their old userName is no longer found.

    userName is compared without regard to case (RFC 7643 section 4.1.1), so an update of its case
    alone does not count. It occurs if two family names have no ASCII letters.
    """
    before = {each.number: each for each in people}
    return [
        before[each.number]
        for each in changes.updated
        if each.user_name.lower() != before[each.number].user_name.lower()
    ]


def _changed(before: Person, seed: int, rng: random.Random) -> Person:
    if rng.random() < 0.5:
        others = [each for each in DEPARTMENTS if each != before.department]
        return replace(before, department=rng.choice(others))
    family_name = rng.choice([each for each in FAMILY_NAMES if each != before.family_name])
    if rng.random() < 0.3:
        return replace(before, family_name=family_name)
    user_name = _user_name(before.given_name, family_name, before.number, seed, rng)
    email = user_name if before.email else None
    return replace(before, family_name=family_name, user_name=user_name, email=email)


def _user_name(
    given_name: str, family_name: str, number: int, seed: int, rng: random.Random
) -> str:
    """A user principal name: ASCII; some have characters that a query easily loses, such as +."""
    family = _ascii(family_name) if rng.random() < 0.5 else _letters(family_name)
    separator = "+" if rng.random() < 0.1 else ""
    local = f"{_letters(given_name)}.{family}{separator}{number}"
    return f"{local if rng.random() < 0.2 else local.lower()}@people-{seed}.test"


def _external_id(user_name: str, seed: int, rng: random.Random) -> str:
    """The mailNickname, Entra's default, or the objectId, which many customers map instead."""
    if rng.random() < 0.5:
        return f"{user_name.partition('@')[0]}-{seed}"
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _ascii(text: str) -> str:
    """The text without accents, with apostrophes and hyphens, and never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z'-]", "", plain) or "x"


def _letters(text: str) -> str:
    return re.sub(r"[^A-Za-z]", "", _ascii(text))


def _share(people: Sequence[Person], percent: int) -> int:
    return max(1, len(people) * percent // 100)


def _split(people: list[Person], count: int) -> tuple[list[Person], list[Person]]:
    return people[:count], people[count:]
