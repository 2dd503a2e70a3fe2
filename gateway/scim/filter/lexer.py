"""Splits the text of a filter into tokens: words, strings and brackets."""

import re
from typing import Final, NamedTuple

from gateway.scim.errors import describe, invalid_filter

_TOKEN: Final = re.compile(r'\s*(?:([()\[\]])|("(?:[^"\\]+|\\.)*+")|([^\s()\[\]"]+))', re.DOTALL)
PUNCTUATION, STRING, WORD, END = 1, 2, 3, 4


class Token(NamedTuple):
    kind: int
    text: str
    position: int  # of its first character, counted from 1


def tokens(text: str) -> list[Token]:
    """The tokens of a text, and an END token; refuses an unterminated string (invalidFilter)."""
    found: list[Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise invalid_filter(
                f"A string in the filter has no closing quote: {describe(text)}. Add it."
            )
        kind = match.lastindex or WORD
        found.append(Token(kind, match[kind], match.start(kind) + 1))
        position = match.end()
    found.append(Token(END, "", end + 1))
    return found
