"""SQL statements whose arguments have names."""

import re
from collections.abc import Iterable
from typing import Final

# Not the second colon of a cast, `::uuid`.
_ARGUMENT: Final = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


def numbered(text: str, names: Iterable[str]) -> str:
    """A statement with `$n` for each `:name`, by the name's place in the order of the arguments.

    For constants: it runs once, at import, so that asyncpg finds the same text in its cache of
    prepared statements each time. Refuses (ValueError) a name that the text lacks, or has and is
    not among the arguments.
    """
    numbers = {name: f"${number}" for number, name in enumerate(names, 1)}
    used = set(_ARGUMENT.findall(text))
    if used != numbers.keys():
        raise ValueError(f"only in the text or the arguments: {sorted(used ^ numbers.keys())}")
    return _ARGUMENT.sub(lambda match: numbers[match[1]], text)


def named(columns: Iterable[str]) -> str:
    """The list of arguments `:a, :b` for columns of the same names."""
    return ", ".join(f":{column}" for column in columns)
