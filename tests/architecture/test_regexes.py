"""Regular expressions are compiled on import and take linear time on their inputs."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.regexes.inventory import (
    METHODS,
    Use,
    compiled,
    misplaced,
    patterns_in_memory,
    sources,
    tree_of,
    trees,
    uses,
)
from tests.support.regexes.slowness import slow_attacks

USES = uses()


@pytest.mark.parametrize("module", sources())
def test_patterns_are_compiled_as_module_constants_only(module: str):
    """Ruff (TID251) forbids the functions of `re` that take a pattern as a string."""
    assert list(misplaced(tree_of(module))) == []


def test_every_pattern_in_memory_is_tested():
    known = {f"{module}.{name}" for module, tree in trees() for name in compiled(tree)}
    assert patterns_in_memory() == known
    assert len(known) > 30
    assert {use.method for use in USES} <= METHODS  # "unused": the test cannot see how it is used


@pytest.mark.parametrize("use", USES, ids=str)
def test_pattern_takes_linear_time_on_hostile_text(use: Use):
    assert list(slow_attacks(use.pattern, use.method)) == []


SINGLE = [["IN"], ["LITERAL"], ["NOT_LITERAL"], ["ANY"]]
"""The parsed forms of a single character."""


def possessive_groups(parsed: Any) -> Iterator[Any]:
    """The possessive repetitions of more than one character, and the atomic groups."""
    for operation, argument in parsed:
        name = str(operation)
        is_single = name == "POSSESSIVE_REPEAT" and [str(op) for op, _ in argument[2]] in SINGLE
        if name == "ATOMIC_GROUP" or (name == "POSSESSIVE_REPEAT" and not is_single):
            yield operation
        for each in argument if isinstance(argument, tuple | list) else [argument]:
            if isinstance(each, re._parser.SubPattern):
                yield from possessive_groups(each)
            elif isinstance(each, list):
                for branch in each:
                    if isinstance(branch, re._parser.SubPattern):
                        yield from possessive_groups(branch)


@pytest.mark.parametrize("use", USES, ids=str)
def test_pattern_has_no_possessive_group(use: Use):
    """Python before 3.11.5, which Debian 12 and our base image have, matches them wrongly.

    `(?:ab?c)*+` matches "abca" of "abcab" there (https://github.com/python/cpython/issues/106052).
    """
    parsed = re._parser.parse(use.pattern.pattern, use.pattern.flags)
    assert list(possessive_groups(parsed)) == []


@pytest.mark.parametrize(
    ("pattern", "count"),
    [(r"(?:ab?c)*+", 1), (r"(?:x|(?>y+)z)", 1), (r"(a(?:bc)?+)*", 1), (r"[a-z]++x*+", 0)],
)
def test_possessive_group_is_found(pattern: str, count: int):
    assert len(list(possessive_groups(re._parser.parse(pattern)))) == count


@pytest.mark.parametrize(
    ("method", "pattern"),
    [
        ("sub", re.compile(rb'"(?:[^"\\]+|\\.)*+"', re.DOTALL)),
        (
            "sub",
            re.compile(r"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)\s*-----END CERT-----"),
        ),
        ("sub", re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERT-----", re.DOTALL)),
        ("search", re.compile(r"x+y")),
        ("sub", re.compile(r'[^\s"<>,]+@[^\s"<>,]+')),
        ("sub", re.compile(r"[ \t]*,[ \t]*")),
        ("fullmatch", re.compile(r"[ \t]*\w+=[ \t]*[ -~]*[ \t]*")),
        ("fullmatch", re.compile(r"(a+)+b")),
        ("fullmatch", re.compile(r"(?:a|a)*b")),
        ("match", re.compile(r"(?:\w|\d_?)+!")),
        ("match", re.compile(r"\d*\d*x")),
        ("match", re.compile(rb"(?:.*,)*x")),
        ("search", re.compile(r"<!--.*?-->", re.DOTALL)),
        ("search", re.compile(r"\s+$")),
        ("search", re.compile(r"://[^,]*:\d+$")),
    ],
    ids=lambda value: getattr(value, "pattern", value),
)
def test_slow_pattern_is_found_by_the_attacks(method: str, pattern: re.Pattern):
    assert next(slow_attacks(pattern, method), None) is not None


@pytest.mark.parametrize(
    ("method", "pattern"),
    [
        ("sub", re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)),
        ("match", re.compile(r"x+y")),
        ("search", re.compile(r"(?<!x)x++y")),
        ("fullmatch", re.compile(r"[^\s@]+@[^\s@]+")),
        ("sub", re.compile(r"[\s,;]+")),
        ("fullmatch", re.compile(r"[a-z]+(?:\.[a-z]+)*")),
    ],
    ids=lambda value: getattr(value, "pattern", value),
)
def test_linear_pattern_passes_the_attacks(method: str, pattern: re.Pattern):
    assert list(slow_attacks(pattern, method)) == []
