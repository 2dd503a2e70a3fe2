"""SQL statements with named arguments."""

import re
from collections.abc import Iterable
from typing import Final

# The lookbehind skips the second colon of a cast such as `::uuid`.
_ARGUMENT: Final = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


def number_arguments(text: str, names: Iterable[str]) -> str:
    """Replace each `:name` of a statement by `$n`, where n is the position of the name in `names`.

    Call it once, at import: asyncpg caches prepared statements by their text. Raises ValueError
    unless the statement uses exactly these names.
    """
    numbers = {name: f"${number}" for number, name in enumerate(names, 1)}
    used = set(_ARGUMENT.findall(text))
    if used != numbers.keys():
        different = sorted(used ^ numbers.keys())
        raise ValueError(f"not in both the statement and the list of arguments: {different}")
    return _ARGUMENT.sub(lambda match: numbers[match[1]], text)


def argument_list(columns: Iterable[str]) -> str:
    """The arguments `:a, :b` for columns with the same names."""
    return ", ".join(f":{column}" for column in columns)
