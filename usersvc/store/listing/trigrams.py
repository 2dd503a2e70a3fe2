"""Texts that an index over trigrams can find (pg_trgm).

pg_trgm splits a text into words of letters and digits, and adds two spaces before a word and one
after it. A searched text may begin or end inside a word, so no spaces are added at its ends. The
SQL function `searchable` replaces each character that is not ASCII by a word of three digits.
"""

import re
from typing import Final

MIN_SUBSTRING: Final = 3
"""A shorter text is found at the beginning of a name only."""
_HAS_TRIGRAM: Final = re.compile(r"[^\x00-\x7f]|[a-z0-9]{3}|[^a-z0-9][a-z0-9]|[a-z0-9]{2}[^a-z0-9]")


def has_trigram(folded: str) -> bool:
    """Whether a folded text has a trigram wherever it occurs; the index finds no other text."""
    return _HAS_TRIGRAM.search(folded) is not None
