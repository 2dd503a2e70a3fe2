"""Strings that make a regular expression slow, built from the structure of its pattern.

A backtracking engine is slow where it can match the same characters in several ways: in two
adjacent repeats, in nested repeats, in overlapping alternatives, and from each start position of a
search. Each attack starts with a string that leads to such a part of the pattern (the prefix),
repeats a string that the part accepts (the pump), and ends so that the pattern fails (the suffix).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

Tree = Sequence[tuple[Any, Any]]

_REPEATS: Final = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
_LONG: Final = 16
"""Repeats with a lower maximum take constant time."""
_VARIANTS: Final = 3
"""Maximum number of alternatives and characters tried for a part of a pattern."""
_CATEGORIES: Final = {
    codes.CATEGORY_DIGIT: "07",
    codes.CATEGORY_SPACE: " \t\n",
    codes.CATEGORY_WORD: "a0_",
    codes.CATEGORY_NOT_DIGIT: "a! ",
    codes.CATEGORY_NOT_SPACE: "a!0",
    codes.CATEGORY_NOT_WORD: "! -",
}
_PROBES: Final = "a0A !-\t\n.,;:/@\"'\\\0é"
_FAILURES: Final = ("", "\0", "!", " ", "\n")


@dataclass(frozen=True, slots=True)
class Attack:
    """A family of texts that grow with `n`."""

    prefix: str
    pump: str
    suffix: str
    second_pump: str = ""
    repeats_prefix: bool = False
    """Whether the prefix is repeated with the pump, to restart a search everywhere."""

    def text(self, n: int) -> str:
        """The text with `n` pumps."""
        pumped = (
            (self.prefix + self.pump) * n if self.repeats_prefix else self.prefix + self.pump * n
        )
        return pumped + self.second_pump * n + self.suffix


def attacks(pattern: re.Pattern[Any]) -> list[Attack]:
    """The distinct attacks on a pattern."""
    source = pattern.pattern
    tree = _parser.parse(source, pattern.flags & ~re.UNICODE if isinstance(source, bytes) else
                         pattern.flags)  # fmt: skip
    return list(dict.fromkeys(each for each in _attacks(tree) if each.pump))


def _attacks(tree: Tree) -> Iterator[Attack]:
    sites = list(dict.fromkeys(_sites(tree)))
    prefixes = list(dict.fromkeys(["", *(prefix for prefix, _, _ in sites)]))
    pumps = list(
        dict.fromkeys(
            [*(body for _, body, _ in sites), *_full_matches(tree), *_single_characters(tree)]
        )
    )
    for (prefix, body, rest), failure in product(sites, _FAILURES):
        yield Attack(prefix, body, failure)
        yield Attack(prefix, body, rest + failure)
        yield Attack(prefix, body, rest[:-1] + failure)
        yield Attack(prefix, body, failure, repeats_prefix=True)
        yield Attack(prefix, body, rest[:-1] + failure, repeats_prefix=True)
    for prefix, pump, failure in product(prefixes, pumps, _FAILURES[:3]):
        yield Attack(prefix, pump, failure)
    for (prefix, body, _), pump in product(sites, pumps):
        yield Attack(prefix, body, "\0", second_pump=pump)
        yield Attack(prefix, body + pump, "\0")
    for first, second in product(prefixes, pumps):
        yield Attack(first, second, "\0", repeats_prefix=True)


# The structure of a pattern.


def _sites(tree: Tree, before: str = "", after: str = "") -> Iterator[tuple[str, str, str]]:
    """For each long repeat: strings that lead to it, that it repeats, and that complete it."""
    for index, (code, argument) in enumerate(tree):
        prefix = before + _sample(tree[:index])
        rest = _sample(tree[index + 1 :]) + after
        if code in _REPEATS and argument[1] >= _LONG:
            for variant in range(_VARIANTS):
                yield prefix, _sample(argument[2], variant), rest
        for inner in _inner(code, argument):
            yield from _sites(inner, prefix, rest)


def _inner(code: Any, argument: Any) -> list[Tree]:
    if code in _REPEATS:
        return [argument[2]]
    if code is codes.SUBPATTERN:
        return [argument[3]]
    if code is codes.BRANCH:
        return list(argument[1])
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return [argument[1]]
    return [argument] if code is codes.ATOMIC_GROUP else []


def _full_matches(tree: Tree) -> Iterator[str]:
    """Strings that the pattern accepts, also without their last or first character."""
    for variant in range(_VARIANTS):
        text = _sample(tree, variant)
        yield from (text, text[:-1], text[1:])


def _single_characters(tree: Tree) -> list[str]:
    """The literals of a pattern, and some characters of each of its sets."""
    found: list[str] = []
    for code, argument in tree:
        if code in (codes.LITERAL, codes.NOT_LITERAL, codes.IN, codes.ANY):
            found += _characters(code, argument)[:_VARIANTS]
        for inner in _inner(code, argument):
            found += _single_characters(inner)
    return list(dict.fromkeys(found))


def _sample(tree: Tree, variant: int = 0) -> str:
    """A string that a pattern accepts; each variant chooses other alternatives."""
    return "".join(_sample_of(code, argument, variant) for code, argument in tree)


def _sample_of(code: Any, argument: Any, variant: int) -> str:
    if code in _REPEATS:
        return _sample(argument[2], variant) * max(argument[0], min(argument[1], variant % 2))
    if code is codes.BRANCH:
        return _sample(argument[1][variant % len(argument[1])], variant)
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return ""
    if inner := _inner(code, argument):
        return _sample(inner[0], variant)
    characters = _characters(code, argument)
    return characters[variant % len(characters)] if characters else ""


def _characters(code: Any, argument: Any) -> list[str]:
    """Some characters that one node of a pattern accepts."""
    if code is codes.LITERAL:
        return [chr(argument)]
    if code is codes.NOT_LITERAL:
        return [each for each in _PROBES if each != chr(argument)]
    if code is codes.ANY:
        return ["a", " ", "-"]
    if code is not codes.IN:
        return []
    if argument[0][0] is codes.NEGATE:
        excluded = [_accepts(*each) for each in argument[1:]]
        return [each for each in _PROBES if not any(accepts(each) for accepts in excluded)]
    return [character for each in argument for character in _members(*each)]


def _members(code: Any, argument: Any) -> str:
    if code is codes.LITERAL:
        return chr(argument)
    if code is codes.RANGE:
        return chr(argument[0]) + chr(argument[1])
    return _CATEGORIES[argument]


def _accepts(code: Any, argument: Any) -> Callable[[str], bool]:
    if code is codes.LITERAL:
        return lambda character: ord(character) == argument
    if code is codes.RANGE:
        return lambda character: argument[0] <= ord(character) <= argument[1]
    return lambda character: character in _CATEGORIES[argument]
